"""The target of an exploration: a job for a lab kernel that takes a schedule, and the evaluation of its result."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.lab.lab_kernel import LabKernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.explore.outcome import Failed
    from handshake_lab.kernel.shared.job import Job, JobResult
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.schedule import Schedule


@dataclass(frozen=True)
class Target:
    """The target of an exploration. It can be sent to another process.

    Attributes:
        name: A test's id, or a command.
        job: The job. Its argument contains the schedule, with the key ``schedule``.
        make_kernel: Creates the kernel, in the process that uses it.
        judge: Returns the failure of a run; None if it did not fail.
        properties: Names of the properties that every run must have in addition.
        files: The files whose code is explored: a worker on another machine must have them.
    """

    name: str
    job: Job
    make_kernel: Callable[[], Kernel]
    judge: Callable[[JobResult], Failed | None]
    properties: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def scheduled(self, schedule: Schedule) -> Job:
        """The job with a schedule."""
        argument = {**self.job.argument, "schedule": msgspec.to_builtins(schedule)}
        return msgspec.structs.replace(self.job, argument=argument)

    def kernel(self) -> LabKernel:
        """The kernel. If it can be forked, its runs share what they have in common.

        Raises:
            UsageError: The selected kernel is not a lab kernel.
        """
        made = self.make_kernel()
        if not isinstance(made, LabKernel):
            raise UsageError(
                "--kernel", made.info.kind, "does not repeat a run exactly, which exploring requires", "--kernel lab"
            )
        return made


def kernel_maker(name: str, seed: int, wall_limit: float) -> Callable[[], Kernel]:
    """A function that creates the kernel of that name; another process gets the same release.

    Raises:
        UsageError: There is no such kind of kernel.
        EnvironmentUnsupported: This machine cannot run it.
    """
    made = choose_kernel(name, seed, wall_limit, fresh_boot=False)
    exact = f"lab:{made.info.release}" if isinstance(made, LabKernel) else name
    return functools.partial(choose_kernel, exact, seed, wall_limit, fresh_boot=False)
