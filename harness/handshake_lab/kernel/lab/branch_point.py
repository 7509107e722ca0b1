"""Parking a running job in a lab kernel; it continues in forks, each with its own directories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.kernel.lab.hostfs import mount_host
from handshake_lab.kernel.shared import job_runner
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


def enter_fork(point: BranchPoint, scratch: str, results: str, moved: Callable[[], None]) -> None:
    """Take the same steps as `fork_here` without parking, because each step takes a little virtual time.

    Args:
        point: As for `fork_here`.
        scratch: The job's scratch directory, by its path on the host.
        results: The directory of its results, likewise.
        moved: As for `fork_here`.
    """
    _describe(point)
    _enter(scratch, results, moved)


def _describe(point: BranchPoint) -> None:
    Path(job_runner.current["scratch"], BRANCH_POINT).write_bytes(msgspec.json.encode(point))


def _enter(scratch: str, results: str, moved: Callable[[], None]) -> None:
    """Mount a fork's own directories in place of those of the machine that was forked."""
    job = job_runner.current
    mount_host(scratch, writable=True, at=job["scratch"])
    mount_host(results, writable=True, at=job["results"])
    moved()
