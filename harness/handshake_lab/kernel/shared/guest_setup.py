"""The set-up of a guest whose root is the host's file tree: mounts, the duties of process 1, the environment."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF, include/uapi/linux/reboot.h

#: Directories where a tmpfs is mounted, so that a run does not see the host's files there.
PRIVATE = ("/tmp", "/run", "/dev/shm", "/var/tmp")  # noqa: S108

#: Where a guest has the run's scratch directory and its results: paths of the host would be different in every run.
SCRATCH, RESULTS = "/run/handshake/scratch", "/run/handshake/results"
#: The library that is preloaded into the programs of a lab kernel.
RANDOM_DEVICE = Path("/run/handshake/random_device.so")

#: The environment of programs in the guest.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108  a private tmpfs
    "USER": "root",
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
    "TERM": "linux",
    "PYTHONDONTWRITEBYTECODE": "1",  # what is written is lost
    "PYTHONUNBUFFERED": "1",
    "PYTHONFAULTHANDLER": "1",  # a program that has to be aborted shows its stack
}


def mount(source: str, target: str, kind: str, data: str = "", flags: int = 0) -> None:
    """Mount a file system; an error contains its kind, source and target."""
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mount -t {kind} {source} {target}: {os.strerror(error)}")


def unmount(target: str) -> None:
    """Undo `mount`."""
    if _LIBC.umount(target.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"umount {target}: {os.strerror(error)}")


def mount_file_systems() -> None:
    """Mount the file systems that programs expect."""
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("devtmpfs", "/dev", "devtmpfs")
    for directory in ("/dev/pts", "/dev/shm"):  # noqa: S108
        Path(directory).mkdir(exist_ok=True)
    mount("devpts", "/dev/pts", "devpts", "ptmxmode=0666")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1")):
        if not os.path.lexists(f"/dev/{name}"):
            Path("/dev", name).symlink_to(target)
    for directory in PRIVATE:
        if Path(directory).is_dir() and not Path(directory).is_symlink():
            mount("tmpfs", directory, "tmpfs", "mode=1777")
    # Mininet requires a writable control-group tree; it creates nothing in it here.
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs")
    mount("tracefs", "/sys/kernel/tracing", "tracefs")


def is_private(directory: str) -> bool:
    """Whether a directory of the host is hidden by a tmpfs of the run."""
    return any(directory == private or directory.startswith(private + "/") for private in PRIVATE)


def _reap_until(child: int) -> int:
    """Reap every orphan, as process 1 must; return the child's status when it ends."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def in_child(work: Callable[[], int]) -> int:
    """Have a child process work; return its exit status when it ends."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(work() & 0xFF)
    return _reap_until(child)


def power_off() -> None:
    """Switch the machine off."""
    _LIBC.reboot(_POWER_OFF)
