"""The lab kernel: Linux built as User-Mode Linux, booted or forked for one job.

Its time is virtual (``time-travel=inf-cpu``): computing takes no virtual time, waiting
takes no wall time. Random numbers come only from the C library's ``getrandom()``, which
a preloaded shim answers from the seed; address randomization is off. Therefore a run is
determined by its seed.
"""

from __future__ import annotations

import contextlib
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab import lab_boot
from handshake_lab.kernel.shared.guest_setup import ENVIRONMENT
from handshake_lab.kernel.shared.job import (
    BRANCH_POINT,
    BranchPoint,
    BranchTaken,
    Job,
    JobResult,
    hand_over,
)
from handshake_lab.kernel.shared.job_outcome import outcome
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.kernel.lab.parked_kernel import ParkedKernel
    from handshake_lab.kernel.shared.supervisor import Ending, Supervised


_TOO_LONG = (
    "a program in it computes without ever blocking, or polls in a loop (computing takes no virtual time, and reading "
    "the clock takes almost none), or waits for an event that never occurs"
)


class LabKernel:
    """Does one job at a time, each in a separate lab kernel.

    Args:
        image: The built kernel.
        seed: Determines all random numbers of a run.
        wall_limit: Seconds of real time after which the kernel is killed. No limit in
            virtual time can end a loop that never blocks, because computing takes none.
        memory: The guest's memory, in MiB.
        fresh_boot: Boot for every job. Otherwise the kernel boots once for all jobs that preload the same modules, and
            forks for each of them, if the image forks: this is faster from the second job on. The results are the same.
    """

    def __init__(
        self,
        image: LabKernelImage,
        *,
        seed: int = 1,
        wall_limit: float = 120.0,
        memory: int = 512,
        fresh_boot: bool = True,
    ) -> None:
        self._image = image
        self._seed = seed
        self._wall_limit = wall_limit
        self._memory = memory
        self._fresh_boot = fresh_boot or not image.forks

    @property
    def forks(self) -> bool:
        """Whether jobs run in forks: False as soon as a fork has failed on this machine."""
        return not self._fresh_boot

    @property
    def info(self) -> KernelInfo:
        """The description in a record."""
        return KernelInfo(kind="lab", release=self._image.release, hz=self._image.hz, seed=self._seed)

    @contextmanager
    def run(self, job: Job) -> Iterator[JobResult]:
        """Boot or fork, do the job, power off. Results without a directory of the job are removed after the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        with contextlib.closing(self._results(job, branches=False)) as results:
            yield next(results)

    def branches(self, job: Job) -> Iterator[JobResult]:
        """Do a job that may branch (docs/branching.md): yields the result of each branch, depth first.

        A job that does not branch has one result. Results without a directory of the job are removed when the next
        result is requested.

        Raises:
            KernelFailed: A branch's kernel crashed, was killed, or ran into the wall-clock limit; it names the branch.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        yield from self._results(job, branches=True)

    def _results(self, job: Job, *, branches: bool) -> Generator[JobResult, None, None]:
        if not self._fresh_boot:
            from handshake_lab.kernel.lab import parked_kernel  # noqa: PLC0415  few runs need it

            kernel = parked_kernel.find(self._image, self._memory, job.preload)
            stage = self._stage(kernel, job) if job.stage else None
            with kernel.fork(self._wall_limit, parent=stage) as trunk:
                results = self._hand_over(msgspec.structs.replace(job, branches=branches), trunk.scratch)
                ending = trunk.run()
                if not _could_not_fork(ending):
                    yield from self._follow(kernel, trunk, ending, results, ())
                    return
            self._fresh_boot = True  # forking does not work on this machine; handshake doctor reports why
        with lab_boot.supervised(self._image, self._memory, wall_limit=self._wall_limit, forks=False) as booted:
            lab_boot.prepare(booted.scratch, job.preload, parks=False)
            results = self._hand_over(job, booted.scratch)
            yield self._outcome(booted.run(), booted.scratch, results)

    def _follow(
        self,
        kernel: ParkedKernel,
        running: Supervised,
        ending: Ending,
        results: Path,
        taken: tuple[BranchTaken, ...],
    ) -> Iterator[JobResult]:
        """The result of a fork that has ended, or the results of the forks of one that is parked."""
        if ending.word != "parked":
            try:
                result = self._outcome(ending, running.scratch, results)
            except KernelFailed as error:
                if not taken:
                    raise
                decisions = ", then ".join(f"{branch.decision} {branch.at}" for branch in taken)
                raise KernelFailed(f"{error.what} (in the branch: {decisions})", error.console) from None
            yield msgspec.structs.replace(result, branch=taken)
            return
        point = msgspec.json.decode((running.scratch / BRANCH_POINT).read_bytes(), type=BranchPoint)
        for index, name in enumerate(point.of):
            with kernel.fork(self._wall_limit, parent=running, text=str(index)) as fork:
                place = fork.scratch / "results"
                shutil.copytree(results, place)
                path = (*taken, BranchTaken(point.at, name, index))
                yield from self._follow(kernel, fork, fork.run(), place, path)

    def _stage(self, kernel: ParkedKernel, job: Job) -> Supervised | None:
        # In a directory of its own: files that the common part writes are not results of the job.
        common = msgspec.structs.replace(job, parks=True, results=None)
        return kernel.stage(job.stage, self._wall_limit, lambda scratch: self._hand_over(common, scratch))

    def _hand_over(self, job: Job, scratch: Path) -> Path:
        # For programs that the job starts: the iteration order of their sets depends on it.
        hashing = {"PYTHONHASHSEED": str(self._seed % 2**32)}
        return hand_over(job, scratch, {**ENVIRONMENT, **hashing}, seed=self._seed)

    def _outcome(self, ending: Ending, scratch: Path, results: Path) -> JobResult:
        return outcome(ending, scratch, results, kernel="the lab kernel", limit=self._wall_limit, too_long=_TOO_LONG)


def _could_not_fork(ending: Ending) -> bool:
    """Whether a fork ended before its job began, for example because the host has no memory left."""
    return ending.word == "error" or (ending.word == "exit" and ending.console.startswith("machine_fork:"))
