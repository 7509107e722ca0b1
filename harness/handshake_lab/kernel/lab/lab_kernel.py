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

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.lab import lab_boot, stalled
from handshake_lab.kernel.lab.lab_machine import USUAL, LabMachine
from handshake_lab.kernel.shared.guest_setup import ENVIRONMENT, RANDOM_DEVICE
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


#: Keeps programs from random numbers of the processor, which no kernel can replace: std::random_device (the library is
#: lab/random_device.c) and OpenSSL, by its mask of the processor's features (OPENSSL_ia32cap(3)).
_PREDICTABLE = {
    "LD_PRELOAD": str(RANDOM_DEVICE),
    "ASAN_OPTIONS": "verify_asan_link_order=0",  # otherwise it refuses to start where a library is preloaded
    "OPENSSL_ia32cap": "~0x4000000000000000:~0x40000",
}


class LabKernel:
    """Does one job at a time, each in a separate lab kernel.

    Args:
        image: The built kernel.
        seed: Determines all random numbers of a run.
        wall_limit: Seconds of real time after which the kernel is killed. No limit in
            virtual time can end a loop that never blocks, because computing takes none.
        machine: The guest's memory and its clock.
        fresh_boot: Boot for every job. Otherwise the kernel boots once for all jobs that preload the same modules, and
            forks for each of them, if the image forks: this is faster from the second job on. The results are the same.
    """

    def __init__(
        self,
        image: LabKernelImage,
        *,
        seed: int = 1,
        wall_limit: float = 120.0,
        machine: LabMachine = USUAL,
        fresh_boot: bool = True,
    ) -> None:
        self._image = image
        self._seed = seed
        self._wall_limit = wall_limit
        self._machine = machine
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
        """Do a job that may branch (docs/how-to/branching.md): yields the result of each branch, depth first.

        A job that does not branch has one result. Results without a directory of the job are removed when the next
        result is requested.

        Raises:
            KernelFailed: A branch's kernel crashed, was killed, or ran into the wall-clock limit; it names the branch.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        yield from self._results(job, branches=True)

    def _results(self, job: Job, *, branches: bool) -> Generator[JobResult, None, None]:
        with contextlib.ExitStack() as stack:
            trunk = self._trunk(stack, job, branches=branches)
            if trunk is not None:
                yield from _all_branches(trunk)
                return
        with lab_boot.supervised(self._image, self._machine, wall_limit=self._wall_limit, forks=False) as booted:
            lab_boot.prepare(self._image, booted.scratch, job.preload, parks=False)
            results = self._hand_over(job, booted.scratch)
            yield _outcome(booted.run(), booted.scratch, results, self._wall_limit)

    @contextmanager
    def trunk(self, job: Job) -> Iterator[Branch]:
        """Fork, and do a job that may park: the part of it that all its branches have in common.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: This kernel cannot be forked.
        """
        with contextlib.ExitStack() as stack:
            trunk = self._trunk(stack, job, branches=True)
            if trunk is None:
                raise EnvironmentUnsupported(
                    "this lab kernel cannot be forked here",
                    "Use one that can (handshake kernel list), without --fresh-boot; handshake doctor says more.",
                )
            yield trunk

    def _trunk(self, stack: contextlib.ExitStack, job: Job, *, branches: bool) -> Branch | None:
        """A fork that has done a job or is parked in it; None if no fork can be had."""
        if self._fresh_boot:
            return None
        from handshake_lab.kernel.lab import parked_kernel  # noqa: PLC0415  few runs need it

        kernel = parked_kernel.find(self._image, self._machine, job.preload)
        stage = self._stage(kernel, job) if job.stage else None
        machine = stack.enter_context(kernel.fork(self._wall_limit, parent=stage))
        results = self._hand_over(msgspec.structs.replace(job, branches=branches), machine.scratch)
        ending = machine.run()
        if _could_not_fork(ending):
            self._fresh_boot = True  # forking does not work on this machine; handshake doctor reports why
            return None
        return Branch(kernel, machine, ending, results, self._wall_limit)

    def _stage(self, kernel: ParkedKernel, job: Job) -> Supervised | None:
        # In a separate directory: files that the common part writes are not results of the job.
        common = msgspec.structs.replace(job, parks=True, results=None)
        return kernel.stage(job.stage, self._wall_limit, lambda scratch: self._hand_over(common, scratch))

    def _hand_over(self, job: Job, scratch: Path) -> Path:
        # For programs that the job starts: the iteration order of their sets depends on it.
        hashing = {"PYTHONHASHSEED": str(self._seed % 2**32)}
        return hand_over(job, scratch, {**ENVIRONMENT, **_PREDICTABLE, **hashing}, seed=self._seed)


class Branch:
    """A fork that does a job: it has ended, or is parked and can be forked any number of times.

    Attributes:
        results: The directory of its results: while it is parked, up to there.
        taken: The decisions that led to it.
    """

    def __init__(
        self,
        kernel: ParkedKernel,
        machine: Supervised,
        ending: Ending,
        results: Path,
        wall_limit: float,
        taken: tuple[BranchTaken, ...] = (),
    ) -> None:
        self.results = results
        self.taken = taken
        self._kernel = kernel
        self._machine = machine
        self._ending = ending
        self._wall_limit = wall_limit

    @property
    def parked(self) -> bool:
        """Whether it is parked, rather than ended."""
        return self._ending.word == "parked"

    @property
    def point(self) -> BranchPoint:
        """Where it is parked."""
        return msgspec.json.decode((self._machine.scratch / BRANCH_POINT).read_bytes(), type=BranchPoint)

    @property
    def result(self) -> JobResult:
        """The result of the job that has ended.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit; it names the branch.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        try:
            found = _outcome(self._ending, self._machine.scratch, self.results, self._wall_limit)
        except KernelFailed as error:
            if not self.taken:
                raise
            decisions = ", then ".join(f"{branch.decision} {branch.at}" for branch in self.taken)
            raise KernelFailed(f"{error.what} (in the branch: {decisions})", error.console) from None
        return msgspec.structs.replace(found, branch=self.taken)

    @contextmanager
    def fork(self, text: str, taken: BranchTaken | None = None) -> Iterator[Branch]:
        """Fork it where it is parked, and follow the fork until it ends or is parked. It does not need this one.

        Args:
            text: What the job reads in the fork.
            taken: The decision that this is, for messages.

        Raises:
            KernelFailed: The supervisor was killed.
        """
        with self._kernel.fork(self._wall_limit, parent=self._machine, text=text) as machine:
            place = machine.scratch / "results"
            shutil.copytree(self.results, place)
            path = (*self.taken, taken) if taken else self.taken
            yield Branch(self._kernel, machine, machine.run(), place, self._wall_limit, path)


def _outcome(ending: Ending, scratch: Path, results: Path, limit: float) -> JobResult:
    """The result of a machine that has ended; where the wall-clock limit came, the error says what it was doing."""
    too_long = (stalled.described(ending.console, results) if ending.word == "timeout" else "") or _TOO_LONG
    return outcome(ending, scratch, results, kernel="the lab kernel", limit=limit, too_long=too_long)


def _all_branches(branch: Branch) -> Iterator[JobResult]:
    """The result of a job that has ended, or the results of all branches of one that is parked."""
    if not branch.parked:
        yield branch.result
        return
    point = branch.point
    for index, name in enumerate(point.of):
        with branch.fork(str(index), BranchTaken(point.at, name, index)) as fork:
            yield from _all_branches(fork)


def _could_not_fork(ending: Ending) -> bool:
    """Whether a fork ended before its job began, for example because the host has no memory left."""
    return ending.word == "error" or (ending.word == "exit" and ending.console.startswith("machine_fork:"))
