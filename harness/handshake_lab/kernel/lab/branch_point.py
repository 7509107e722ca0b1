"""Parking a running job in a lab kernel; it continues in forks, each with its own directories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.kernel.lab.hostfs import mount_host
from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.guest_setup import power_off
from handshake_lab.kernel.shared.job import BRANCH_POINT
from handshake_lab.linux.machine_fork import park

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.shared.job import BranchPoint


def fork_here(point: BranchPoint, moved: Callable[[], None]) -> str:
    """Park this machine. Returns in each fork, with the text that it was forked with.

    Args:
        point: The description of this branch point, for the process that forks the machine.
        moved: Called in a fork as soon as its own directories are mounted.

    Raises:
        OSError: This machine cannot be parked.
    """
    _describe(point)
    scratch, _, text = park().partition("\n")
    _enter(scratch, f"{scratch}/results", moved)
    return text


def skip_fork(point: BranchPoint, moved: Callable[[], None]) -> None:
    """Take the same steps as `fork_here` without parking, because each step takes a little virtual time.

    A run that is not parked where another one is has the same record.
    """
    _describe(point)
    job = job_runner.current
    _enter(job.get("host_scratch", job["scratch"]), job.get("host_results", job["results"]), moved)


def end_here() -> None:
    """End the running job successfully, and its machine, without clean-up, which would take as long as a short run."""
    job_runner.leave_status(job_runner.current["scratch"], 0)
    power_off()


def _describe(point: BranchPoint) -> None:
    Path(job_runner.current["scratch"], BRANCH_POINT).write_bytes(msgspec.json.encode(point))


def _enter(scratch: str, results: str, moved: Callable[[], None]) -> None:
    """Mount a fork's own directories in place of those of the machine that was forked."""
    job = job_runner.current
    mount_host(scratch, writable=True, at=job["scratch"])
    mount_host(results, writable=True, at=job["results"])
    job.update(host_scratch=scratch, host_results=results)
    moved()
