"""Runs a set of schedules in a lab kernel; a common beginning of several schedules is run only once.

Schedules form a tree: two of them are the same up to the first segment with different faults. The run is parked at this
segment, and forked once for each of these faults. A parked run is ended after its last fork, so that only few exist at
the same time. On a kernel that cannot be forked, each schedule is run from the start in a fresh boot.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.reading import read_outcome
from handshake_lab.kernel.shared.job import INTERRUPTED
from handshake_lab.plan.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.target import Target
    from handshake_lab.kernel.lab.lab_kernel import Branch
    from handshake_lab.kernel.shared.job import JobResult
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]

#: A machine can be forked from a fork 255 times (docs/explanation/fork.md): the kernel itself and its stage are two.
_MOST_GENERATIONS = 240

#: A fork takes as long as this number of segments (benchmarks/explore.py measures it): if it saves fewer, a run is not
#: parked again, but forked from an earlier place.
_SEGMENTS_PER_FORK = 30


class Walker:
    """Runs schedules of a target. The part of the run before the first segment is run once for all of them.

    Args:
        target: The target of the exploration.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.kernel = target.kernel()
        self._stack = contextlib.ExitStack()
        self._root: Branch | None = None
        self._keep: Path | None = None
        self.forks = 0  #: how many machines were forked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def walk(self, schedules: Iterable[Fates]) -> Generator[Outcome, None, None]:
        """Run schedules, in the order of the tree: those with later segments first.

        Args:
            schedules: The faults of each, in the order of their segments. Equal schedules are run once.

        Raises:
            KeyboardInterrupt: The run was interrupted.
        """
        group = sorted(set(schedules))
        if not group:
            return
        if not self.kernel.forks:
            for fates in group:
                yield self._afresh(fates)
            return
        if self._root is None:
            self._root = self._stack.enter_context(self.kernel.trunk(self._target.scheduled(Schedule(park=1))))
            self.forks += 1
        with contextlib.ExitStack() as kept:
            yield from self._follow(kept, self._root, 1, group, 0, 1)

    def _afresh(self, fates: Fates) -> Outcome:
        """Boot the kernel, and run one schedule from the start."""
        # Not a directory of the kernel: the record must remain if the kernel fails.
        with tempfile.TemporaryDirectory(prefix="handshake-explored-", ignore_cleanup_errors=True) as place:
            results = Path(place).resolve()
            job = msgspec.structs.replace(self._target.scheduled(Schedule(fates)), results=results)
            with contextlib.ExitStack() as stack:
                return self._outcome(lambda: stack.enter_context(self.kernel.run(job)), results, fates)

    def keep(self, fates: Fates, directory: Path) -> Outcome:
        """Run one schedule, and copy the files of its results into a directory."""
        self._keep = directory
        try:
            return next(iter(self.walk([fates])))
        finally:
            self._keep = None

    def _follow(
        self, kept: contextlib.ExitStack, branch: Branch, at: int, group: list[Fates], same: int, depth: int
    ) -> Iterator[Outcome]:
        """Fork a parked run for each of some schedules.

        Args:
            kept: Ends the run when it is closed.
            branch: The run.
            at: The segment at which it is parked.
            group: Schedules in their order, which are the same before that segment.
            same: How many of their first fates are the same as well.
            depth: How often it was forked.
        """
        while branch.parked:
            park = _place_to_park(group, at, same) if depth < _MOST_GENERATIONS else 0
            ended = [fates for fates in group if len(fates) == same]
            going = [fates for fates in group if len(fates) > same]
            early = [fates for fates in going if not park or fates[same].segment < park]
            late = [*ended, *going[len(early) :]]
            for _, each in itertools.groupby(early, key=lambda fates: fates[same]):
                way = list(each)
                if len(way) == 1:
                    yield from self._alone(branch, at, way)
                    continue
                with contextlib.ExitStack() as own:
                    yield from self._follow(own, branch, at, way, same + 1, depth)
            if not park:
                if ended:
                    yield from self._alone(branch, at, ended)
                return
            with contextlib.ExitStack() as own:
                fork = self._fork(own, branch, Schedule(_from(late[0][:same], at), park))
                # All forks were made: the remaining schedules do not need the parked run.
                kept.close()
                kept.enter_context(own.pop_all())
            branch, at, group, depth = fork, park, late, depth + 1
        yield from self._ended(branch, group)

    def _alone(self, branch: Branch, at: int, group: list[Fates]) -> Iterator[Outcome]:
        """Follow equal schedules to their end."""
        with contextlib.ExitStack() as own:
            yield from self._ended(self._fork(own, branch, Schedule(_from(group[0], at))), group)

    def _fork(self, own: contextlib.ExitStack, branch: Branch, schedule: Schedule) -> Branch:
        self.forks += 1
        return own.enter_context(branch.fork(msgspec.json.encode(schedule).decode()))

    def _ended(self, branch: Branch, group: list[Fates]) -> Iterator[Outcome]:
        """The outcome of a run that has ended; it is that of all schedules in the group."""
        outcome = self._outcome(lambda: branch.result, branch.results, group[0])
        for fates in group:
            yield msgspec.structs.replace(outcome, fates=fates)

    def _outcome(self, result: Callable[[], JobResult], results: Path, fates: Fates) -> Outcome:
        """The outcome of a run.

        Args:
            result: Returns how it ended, or raises `KernelFailed`.
            results: The directory of its results.
            fates: Its schedule.
        """
        failed: Failed | None
        try:
            ended = result()
            if ended.status == INTERRUPTED:
                raise KeyboardInterrupt
            failed = self._target.judge(ended)
        except KernelFailed as error:
            failed = Failed("KernelFailed", str(error))
        if self._keep is not None:
            shutil.copytree(results, self._keep, dirs_exist_ok=True)
        return read_outcome(results, fates, failed, self._target.properties)


def _from(fates: Fates, at: int) -> Fates:
    return tuple(fate for fate in fates if fate.segment >= at)


def _place_to_park(group: list[Fates], at: int, same: int) -> int:
    """The first segment at which parking again saves time for the schedules without a fault before it; 0 if none.

    Args:
        group: Schedules in their order.
        at: The segment at which their run is parked.
        same: How many of their first fates are the same.
    """
    following = [fates[same].segment for fates in group if len(fates) > same]
    for index, segment in enumerate(following):
        if (segment - at) * (len(following) - index) >= _SEGMENTS_PER_FORK:
            return segment
    return 0
