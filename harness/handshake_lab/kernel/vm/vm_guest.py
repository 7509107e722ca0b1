"""The first Python process in a stock kernel's virtual machine: mounts file systems, does one job, powers off.

Like `handshake_lab.kernel.lab.lab_guest`, but with the host's files over 9p. ``init.c`` starts it as
process 1, with the host's files as its root.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from handshake_lab.kernel.shared import guest_setup, job_runner

_MS_BIND = 4096

#: Without a cache, so that written files are on the host at once, even if the machine is killed.
_OPTIONS = "trans=virtio,version=9p2000.L,msize=262144,cache=none"


def main() -> None:
    """Mount file systems, do the job in a child, write its exit status, power off."""
    scratch = sys.argv[1]
    job = job_runner.read_job(scratch)
    # Opened before a tmpfs is mounted over their paths.
    hidden = {
        directory: os.open(directory, os.O_PATH) for directory in job["readable"] if guest_setup.is_private(directory)
    }
    guest_setup.mount_file_systems()
    for directory, descriptor in hidden.items():
        Path(directory).mkdir(parents=True, exist_ok=True)
        guest_setup.mount(f"/proc/self/fd/{descriptor}", directory, "", flags=_MS_BIND)
        os.close(descriptor)
    for tag, directory in (("scratch", scratch), ("results", job["results"])):
        Path(directory).mkdir(parents=True, exist_ok=True)
        guest_setup.mount(tag, directory, "9p", _OPTIONS)
    Path("/proc/sys/kernel/modprobe").write_text(f"{scratch}/modprobe")
    job_runner.leave_status(scratch, guest_setup.in_child(lambda: job_runner.do(job)))
    guest_setup.power_off()


if __name__ == "__main__":
    main()
