"""Running a student's program where it can do no harm: as nobody, in a root that has nothing but Python.

In a lab kernel, a program sees the files of the host that the kernel runs on. This one does not: `confine` gives it a
root of its own with read-only system directories and the program's own, takes all privileges away, and limits its
memory, files, processes and processor time. It runs inside of the kernel, as the program that starts the student's:

    python3 -I confinement.py server.py
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sys
from pathlib import Path

#: Bytes of a program that a student hands in.
LONGEST_PROGRAM = 64 * 1024
#: Where the root is made: in a tmpfs of the run.
_ROOT = Path("/tmp/confined")  # noqa: S108 -- private to the run
#: The lowest port that a program without privileges may bind to, in this host's network namespace (ip(7)).
_LOWEST_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_FILES = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
_NOBODY = 65_534
_NEW_NAMESPACES = 0x0002_0000 | 0x0800_0000  # CLONE_NEWNS | CLONE_NEWIPC, include/uapi/linux/sched.h
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16_384, 1 << 18  # include/uapi/linux/mount.h
_NO_SETUID = 2
_DETACH = 2  # MNT_DETACH
_PIVOT_ROOT = 155  # its number on x86-64
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
_LIMITS = {
    resource.RLIMIT_AS: 512 << 20,
    resource.RLIMIT_CPU: 10,
    resource.RLIMIT_FSIZE: 1 << 20,
    resource.RLIMIT_NOFILE: 256,
    resource.RLIMIT_NPROC: 64,
    resource.RLIMIT_CORE: 0,
}


def command(program: str) -> str:
    """The command that runs a program of the working directory in confinement."""
    return f"python3 -I {Path(__file__).resolve()} {program}"


def confine(program: Path) -> None:
    """Leave everything but Python and the program's text behind.

    Raises:
        OSError: The kernel refuses a step; the program must not be run then.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        converted = [each.encode() if isinstance(each, str) else each for each in arguments]
        if getattr(libc, name)(*converted) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")

    text = program.read_bytes()[:LONGEST_PROGRAM]
    # It serves the port that the program served which it replaces, and that one had all privileges.
    _LOWEST_PORT.write_text("0", "utf-8")
    interpreter = Path(sys.executable).resolve()
    call("unshare", _NEW_NAMESPACES)
    call("mount", "none", "/", None, _RECURSIVE | _PRIVATE, None)
    _ROOT.mkdir(exist_ok=True)
    call("mount", "tmpfs", str(_ROOT), "tmpfs", _NO_SETUID, "size=4m,mode=755")
    own = str(Path(sys.base_prefix).resolve())
    preloaded = os.environ.get("LD_PRELOAD", "")
    for source in dict.fromkeys((*_SYSTEM, own, *_FILES, preloaded)):
        _show(call, source)
    work = _ROOT / "work"
    work.mkdir()
    (work / program.name).write_bytes(text)
    (_ROOT / "old").mkdir()
    call("syscall", _PIVOT_ROOT, str(_ROOT), str(_ROOT / "old"))
    os.chdir("/work")
    call("umount2", "/old", _DETACH)
    Path("/old").rmdir()
    call("mount", "none", "/", None, _REMOUNT | _READ_ONLY | _BIND, None)
    for what, most in _LIMITS.items():
        resource.setrlimit(what, (most, most))
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/work", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    environment |= {name: os.environ[name] for name in ("LD_PRELOAD", "PYTHONHASHSEED") if name in os.environ}
    os.execve(interpreter, [str(interpreter), "-I", "-B", program.name], environment)  # noqa: S606 -- no shell is wanted


def _show(call: object, source: str) -> None:
    """Show a directory or a file of the host at the same place in the new root, read-only."""
    path, target = Path(source), _ROOT / source.lstrip("/")
    if not source or not path.exists() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.is_dir():
        target.symlink_to(path.readlink())
        return
    if path.is_dir():
        target.mkdir()
    elif path.is_file():
        shutil.copyfile(path, target)
        target.chmod(0o755)
        return
    else:
        target.touch()
    call("mount", source, str(target), None, _BIND, None)  # type: ignore[operator]
    if path.is_dir():
        call("mount", "none", str(target), None, _REMOUNT | _READ_ONLY | _BIND | _NO_SETUID, None)  # type: ignore[operator]


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
