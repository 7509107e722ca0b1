"""The interface of all kinds of kernel: each can do a job."""

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
        """The description in a record."""

    def run(self, job: Job) -> AbstractContextManager[JobResult]:
        """Do a job. Results without a directory of the job are removed at the end of the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It cannot run on this machine.
        """
