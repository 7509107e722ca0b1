"""The first process in a lab kernel: mounts file systems, does one job, powers off.

The root is the host's file tree, through hostfs. Files that are written
are kept in memory, except for the job's results.
Started by `handshake_lab.kernel.lab.lab_boot` as ``init=python … -m handshake_lab.kernel.lab.lab_guest SCRATCH``.

A kernel that was booted for one job and one that is parked and forked take the same steps before the job, in the same
order; otherwise their records would differ.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from handshake_lab.kernel.lab import stage, writable_root
from handshake_lab.kernel.lab.hostfs import mount_host, unmount_host
from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.guest_setup import (
    RANDOM_DEVICE,
    RESULTS,
    SCRATCH,
    in_child,
    is_private,
    mount_file_systems,
    power_off,
)
from handshake_lab.kernel.shared.parking import prepare_for_copies
from handshake_lab.linux.machine_fork import park


def _prepare_and_do(boot: dict[str, Any], scratch: str, place: int) -> int:
    """Take the steps up to the job, do it, and power off.

    Args:
        boot: What to do before the job.
        scratch: The scratch directory before the machine is forked.
        place: A pipe for the path of the job's scratch directory.

    Returns:
        The job's status, if this process cannot power off.
    """
    for module in boot["preload"]:
        importlib.import_module(module)
    prepare_for_copies()
    # Also if the machine is not parked: numbers of inodes and devices depend on the sequence of operations.
    stage.list_loaded_files(SCRATCH)
    unmount_host(SCRATCH)
    if boot["parks"]:
        scratch = park()
    mount_host(scratch, writable=True, at=SCRATCH)
    os.write(place, SCRATCH.encode())
    os.close(place)
    # Directories may have changed while the machine was parked.
    importlib.invalidate_caches()
    job = job_runner.read_job(SCRATCH)
    for directory in job["readable"]:
        if is_private(directory) and directory not in boot["readable"]:
            mount_host(directory, writable=False)
    mount_host(job["results"], writable=True, at=RESULTS)
    job.update(scratch=SCRATCH, host_scratch=scratch, results=RESULTS, host_results=job["results"])
    writable_root.enter()
    stage.begin(stage.COMMON_SEED if job["stage"] else job["seed"])
    status = job_runner.do(job)
    # Not left to the first process: in a fork, that one would first have to be given its memory again.
    job_runner.leave_status(SCRATCH, status)
    power_off()
    return status


def _allow_every_congestion_control() -> None:
    """Permit every algorithm in every network namespace.

    Otherwise the kernel permits some, such as DCTCP, in its first namespace only (net/ipv4/tcp_cong.c,
    tcp_set_default_congestion_control).
    """
    settings = Path("/proc/sys/net/ipv4")
    available = (settings / "tcp_available_congestion_control").read_text()
    (settings / "tcp_allowed_congestion_control").write_text(available)


def main() -> None:
    """Mount file systems, with the scratch directory, and do the job."""
    scratch = sys.argv[1]
    boot = json.loads(Path(scratch, "boot.json").read_bytes())
    sys.argv[1] = SCRATCH  # the path of the host is different in every run
    library = Path(boot["random_device"]).read_bytes()
    mount_file_systems()
    _allow_every_congestion_control()
    # Programs that ask for the address of their own host expect an answer.
    Path("/proc/sys/kernel/hostname").write_text("localhost")
    mount_host(scratch, writable=True, at=SCRATCH)
    RANDOM_DEVICE.write_bytes(library)
    for directory in boot["readable"]:
        if is_private(directory):
            mount_host(directory, writable=False)
    reader, writer = os.pipe()

    def work() -> int:
        os.close(reader)
        return _prepare_and_do(boot, scratch, writer)

    status = in_child(work)
    os.close(writer)
    job_runner.leave_status(os.read(reader, 4096).decode() or SCRATCH, status)
    power_off()


if __name__ == "__main__":
    main()
