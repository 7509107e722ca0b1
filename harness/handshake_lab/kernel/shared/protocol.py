"""What every kind of kernel is to the rest: something that does a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from handshake_lab.kernel.shared.job import Job, JobResult
    from handshake_lab.recording.observations import KernelInfo


class Kernel(Protocol):
    """A kernel to run on."""

    @property
    def info(self) -> KernelInfo:
        """What a record says of it."""

    def run(self, job: Job) -> AbstractContextManager[JobResult]:
        """Do a job; what it left and was not asked to be kept vanishes at the end of the block.

        Raises:
            KernelFailed: The kernel did not come to its end.
            EnvironmentUnsupported: It cannot run on this machine.
        """
