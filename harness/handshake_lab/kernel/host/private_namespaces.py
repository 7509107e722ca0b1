"""Makes private namespaces and runs a program in them; `handshake_lab.kernel.host.host_kernel` starts it.

The namespaces are those for users, network, mounts, processes, IPC and host names. Everything that
is created in them (interfaces, rules, mounts, files in /tmp and /run, processes) is removed when the
program ends for any reason, and nothing outside is changed. The first process in the process
namespace keeps them, and is killed when its parent ends.

This is a script that uses only the standard library and starts without site-packages, so that it
starts fast.

Source: namespaces(7), user_namespaces(7), pid_namespaces(7), prctl(2) PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

_NEWUSER, _NEWNET, _NEWNS, _NEWPID, _NEWIPC, _NEWUTS = 0x10000000, 0x40000000, 0x20000, 0x20000000, 0x8000000, 0x4000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _UP = 0x8913, 0x8914, 1

#: Directories in which programs write temporary files; private, so that these files are removed.
_SCRATCH = ("/tmp", "/run", "/var/tmp", "/dev/shm")  # noqa: S108
#: File systems that are mounted below /sys.
_TRACEFS = "/sys/kernel/tracing"
_BELOW_SYS = (_TRACEFS, "/sys/kernel/debug", "/sys/fs/cgroup")

#: The exit status if this machine does not permit private namespaces.
REFUSED = 125

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode())
    _check(done, f"mounting {kind or source} on {target}")


def _die_with(parent: int) -> None:
    """Have this process killed when its parent ends; exit now if it has already ended."""
    _check(_libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "tying this process to its parent")
    # 0: the parent is outside this process's process namespace; it was alive when it forked.
    if os.getppid() not in (parent, 0):
        os._exit(1)


def _show_tracepoints() -> None:
    """If tracefs is not mounted and this is root, mount it privately: only root may read it."""
    if os.getuid() != 0 or os.path.ismount(_TRACEFS) or not os.path.isdir(_TRACEFS):  # noqa: PTH112
        return
    _check(_libc.unshare(_NEWNS), "making a mount namespace")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tracefs", _TRACEFS, "tracefs", 0)


def _unshare() -> None:
    """Make a user namespace, and with its privileges all the others."""
    uid, gid = os.getuid(), os.getgid()
    rest = _NEWNET | _NEWNS | _NEWPID | _NEWIPC | _NEWUTS
    if _libc.unshare(_NEWUSER | rest) != 0:
        if uid != 0:
            _check(-1, "making namespaces")
        _check(_libc.unshare(rest), "making namespaces")
        return
    # For root, all users are mapped; any other user becomes root inside, and no other user is mapped.
    everyone = uid == 0
    if not everyone:
        _write("/proc/self/setgroups", "deny")
    try:
        _write("/proc/self/uid_map", "0 0 4294967295" if everyone else f"0 {uid} 1")
        _write("/proc/self/gid_map", "0 0 4294967295" if everyone else f"0 {gid} 1")
    except PermissionError:
        # Root of a container that is in a user namespace itself: only this user can be mapped.
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 -- pathlib is not loaded here
        file.write(text)


def _mount_all(setup: dict[str, Any]) -> None:
    """Mount private /proc, /sys and scratch directories; directories that the job needs are bound to their own path."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    shown = {path for path in [setup["results"], *setup["shown"], os.getcwd()] if path and _in_scratch(path)}  # noqa: PTH109
    kept = {path: os.open(path, os.O_PATH) for path in sorted(shown) if os.path.isdir(path)}  # noqa: PTH112
    below = {path: os.open(path, os.O_PATH) for path in _BELOW_SYS if os.path.ismount(path)}
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV)
    try:
        _mount("sysfs", "/sys", "sysfs", _MS_NOSUID | _MS_NODEV)
    except PermissionError:
        # A container that hides parts of /sys may not mount it again. Then it is not remounted, and /sys/class/net
        # shows the interfaces outside, which nothing here reads.
        below = {}
    for path, descriptor in below.items():
        _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
    for path in _SCRATCH:
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            _mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")
    for path, descriptor in kept.items():
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
        _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
        os.close(descriptor)
    for descriptor in below.values():
        os.close(descriptor)
    os.chdir(os.getcwd())  # noqa: PTH109 -- the same path, in the new mounts


def _in_scratch(path: str) -> bool:
    return any(path == scratch or path.startswith(scratch + "/") for scratch in _SCRATCH)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def _first(setup: dict[str, Any]) -> NoReturn:
    """Be the first process in the namespaces: mount, run the program, reap orphans, exit with its status."""
    _mount_all(setup)
    _loopback_up()
    child = os.fork()
    if child == 0:
        try:
            os.execvpe(setup["argv"][0], setup["argv"], {**os.environ, **setup["environment"]})  # noqa: S606
        except OSError as error:
            print(f"{setup['argv'][0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        finally:
            os._exit(127)
    while True:
        pid, status = os.wait()
        if pid == child:
            # The kernel kills all other processes of the namespace when the first one exits.
            os._exit(_exit_status(status))


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def main() -> NoReturn:
    """Make the namespaces in a child of this process, and exit with its status."""
    setup = json.loads(sys.argv[1])
    parent = os.getppid()
    try:
        _show_tracepoints()
        _unshare()
        # Only now: a change of privileges resets it.
        _die_with(parent)
        here = os.getpid()
        first = os.fork()
        if first == 0:
            _die_with(here)
            _first(setup)
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)  # noqa: T201
        os._exit(REFUSED)
    _, status = os.waitpid(first, 0)
    os._exit(_exit_status(status))


if __name__ == "__main__":
    main()
