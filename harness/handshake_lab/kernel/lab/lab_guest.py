"""The first process inside a lab kernel: makes a small world, does one job, powers off.

The root is the host's own file tree, read-only through hostfs. Everything that is
written goes to memory, except for the job's results.
Started by `handshake_lab.kernel.lab.lab_kernel` as ``init=python … -m handshake_lab.kernel.lab.lab_guest SCRATCH``.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from handshake_lab.kernel.shared import job_runner

_LIBC = ctypes.CDLL(None, use_errno=True)
_POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF, include/uapi/linux/reboot.h
_MS_RDONLY = 1

#: Directories that get a memory of their own: what the host has there is not the run's.
PRIVATE = ("/tmp", "/run", "/dev/shm", "/var/tmp")  # noqa: S108


def mount(source: str, target: str, kind: str, data: str = "", flags: int = 0) -> None:
    """Mount something; an error says what could not be mounted where."""
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mount -t {kind} {source} {target}: {os.strerror(error)}")


def furnish() -> None:
    """Mount what programs expect to find."""
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
    # Mininet wants a control-group tree that it may write to; it puts nothing in it here.
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs")
    mount("tracefs", "/sys/kernel/tracing", "tracefs")


def is_private(directory: str) -> bool:
    """Whether a directory of the host lies where the run has a memory of its own."""
    return any(directory == private or directory.startswith(private + "/") for private in PRIVATE)


def mount_host(directory: str, *, writable: bool) -> None:
    """Show a directory of the host at its own path."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    mount("none", directory, "hostfs", directory, 0 if writable else _MS_RDONLY)


def show_entries(directory: str) -> None:
    """Show what the host has in a directory that is private here, and that must stay writable: by symbolic links."""
    aside = "/run/host" + directory
    Path(aside).mkdir(parents=True)
    mount("none", aside, "hostfs", directory, _MS_RDONLY)
    for entry in sorted(Path(aside).iterdir()):
        if not os.path.lexists(Path(directory, entry.name)):
            Path(directory, entry.name).symlink_to(entry)


def _reap_until(child: int) -> int:
    """As the first process, take in every orphan; return the child's status when it ends."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def do_and_power_off(job: dict[str, Any], scratch: str) -> None:
    """Do the job in a child, leave its exit status, power off."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(job_runner.do(job) & 0xFF)
    job_runner.leave_status(scratch, _reap_until(child))
    _LIBC.reboot(_POWER_OFF)


def main() -> None:
    """Make the world, in which the scratch directory stays where it is on the host, and do the job."""
    scratch = sys.argv[1]
    job = job_runner.read_job(scratch)
    furnish()
    mount_host(scratch, writable=True)
    for directory in job["readable"]:
        if is_private(directory):
            mount_host(directory, writable=False)
    mount_host(job["results"], writable=True)
    do_and_power_off(job, scratch)


if __name__ == "__main__":
    main()
