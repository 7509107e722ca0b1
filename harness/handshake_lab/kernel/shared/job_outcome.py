"""The result of a job, determined from the supervisor's report of how its kernel ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.shared.job import INTERRUPTED, JobResult

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.kernel.shared.supervisor import Ending

#: Why a job that runs in real time reached its limit, and what to do.
TOO_LONG = (
    "a program in it waits for an event that never occurs, or this machine is too busy for it "
    "(pytest and handshake record give it longer with --wall-limit)"
)


def outcome(
    ending: Ending, scratch: Path, results: Path, *, kernel: str, limit: float, too_long: str = TOO_LONG
) -> JobResult:
    """The result of a job.

    Args:
        ending: How its kernel ended.
        scratch: The directory with the job's exit status.
        results: The directory with its results.
        kernel: The kernel's name in messages: "the lab kernel".
        limit: Seconds of wall time after which it was killed.
        too_long: The reason for the message if it reached the limit.

    Raises:
        KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
        EnvironmentUnsupported: It could not be started on this machine.
    """
    status = scratch / "status"
    if ending.word == "exit" and status.exists():
        return JobResult(status=int(status.read_text()), results=results, console=ending.console)
    if ending.word == "killed":
        return JobResult(status=INTERRUPTED, results=results, console=ending.console)
    if ending.word == "timeout":
        raise KernelFailed(f"{kernel} was killed after {limit:g} s of wall time: {too_long}", ending.console)
    if ending.word == "error":
        raise EnvironmentUnsupported(f"{kernel} could not be started: {ending.detail}", "Run: handshake doctor")
    reason = f"{ending.word} {ending.detail}".strip() or "its supervisor was killed"
    if ending.word == "exit" and "Out of memory: Killed process" in ending.console:
        reason = "a process of it was killed for lack of memory"
    raise KernelFailed(f"{kernel} ended before its job did ({reason})", ending.console)
