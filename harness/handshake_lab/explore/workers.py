"""Running schedules in this process, or in several; the outcomes are the same."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Protocol, Self

from handshake_lab.errors import KernelFailed
from handshake_lab.explore.walk import Walker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.process import BaseProcess

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.target import Target
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]


class Workers(Protocol):
    """Runs schedules of one target."""

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """Run schedules, and yield their outcomes as they become available."""


class ThisProcess:
    """Runs schedules one after the other.

    Args:
        target: What is explored.
    """

    def __init__(self, target: Target) -> None:
        self._walker = Walker(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._walker.__exit__()

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules."""
        yield from self._walker.walk(schedules)


#: How often schedules are run whose process was killed.
_ATTEMPTS = 3

#: In a worker process: its walker, which runs its schedules.
_walker: Walker


def _begin(target: Target) -> None:
    """In a worker process: ignore Ctrl-C, which the searching process handles by ending its workers."""
    global _walker  # noqa: PLW0603  a worker process has one target
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _walker = Walker(target)


def _walk(schedules: Sequence[Fates]) -> list[Outcome]:
    return list(_walker.walk(schedules))


class Processes:
    """Runs schedules in several processes, each with a separate kernel.

    If a process is killed, others run its schedules again.

    Args:
        target: The target of the exploration.
        count: The number of processes.
    """

    def __init__(self, target: Target, count: int) -> None:
        self._target = target
        self._count = count
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, spawn, initializer=_begin, initargs=(self._target,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        running = self.processes
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            process.join()

    @property
    def processes(self) -> list[BaseProcess]:
        """The processes that run at present."""
        return list((self._pool._processes or {}).values())  # noqa: SLF001  the pool cannot end a running task

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules: each process runs a part of the tree.

        Raises:
            KernelFailed: Processes were killed repeatedly.
        """
        waiting = parts(schedules, self._count)
        for _ in range(_ATTEMPTS):
            lost: list[Sequence[Fates]] = []
            running = [(part, self._pool.submit(_walk, part)) for part in waiting]
            for part, future in running:
                try:
                    yield from future.result()
                except BrokenProcessPool:
                    lost.append(part)
            if not lost:
                return
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool, waiting = self._started(), lost
        raise KernelFailed(f"processes that explore were killed {_ATTEMPTS} times in a row")


def parts(schedules: Sequence[Fates], count: int) -> list[Sequence[Fates]]:
    """Divide schedules into parts of equal size; those with the same beginning stay together."""
    ordered = sorted(schedules)
    size = -(-len(ordered) // count)
    return [ordered[first : first + size] for first in range(0, len(ordered), size)] if size else []
