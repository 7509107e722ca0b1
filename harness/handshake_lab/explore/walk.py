"""Runs a set of schedules in a lab kernel; a common beginning of several schedules is run only once.

Schedules form a tree: two of them are the same up to the first segment with different faults. The run is parked at this
segment, and forked once for each of these faults. A parked run is ended after its last fork, so that only few exist at
the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.explore.outcome import Failed, read_outcome
from handshake_lab.kernel.shared.job import INTERRUPTED
from handshake_lab.plan.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.target import Target
    from handshake_lab.kernel.lab.lab_kernel import Branch
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]

#: A machine can be forked from a fork 255 times (docs/machine_fork.md): the kernel itself and its stage are two.
_MOST_GENERATIONS = 240


class Walker:
    """Runs schedules of a target. The part of the run before the first segment is run once for all of them.

    Args:
        target: The target of the exploration.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._kernel = target.kernel()
        self._stack = contextlib.ExitStack()
        self._root: Branch | None = None
        self._keep: Path | None = None
        self.forks = 0  #: how many machines were forked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def walk(self, schedules: Iterable[Fates]) -> Iterator[Outcome]:
        """Run schedules, in the order of the tree: those with later segments first.

        Args:
            schedules: The faults of each, in the order of their segments. Equal schedules are run once.

        Raises:
            EnvironmentUnsupported: The kernel cannot be forked.
            KeyboardInterrupt: The run was interrupted.
        """
        group = sorted(set(schedules))
        if not group:
            return
        if self._root is None:
            self._root = self._stack.enter_context(self._kernel.trunk(self._target.scheduled(Schedule(park=1))))
            self.forks += 1
        with contextlib.ExitStack() as kept:
            yield from self._follow(kept, self._root, 1, group, 1)

    def keep(self, fates: Fates, directory: Path) -> Outcome:
        """Run one schedule, and copy the files of its results into a directory."""
        self._keep = directory
        try:
            return next(iter(self.walk([fates])))
        finally:
            self._keep = None

    def _follow(
        self, kept: contextlib.ExitStack, branch: Branch, at: int, group: list[Fates], depth: int
    ) -> Iterator[Outcome]:
        """Fork a parked run for each different fault on the segment at which it is parked, until all runs have ended.

        Args:
            kept: Ends the run when it is closed.
            branch: The run.
            at: The segment.
            group: Schedules that are the same up to this segment.
            depth: The number of successive forks up to this run.
        """
        while branch.parked and depth < _MOST_GENERATIONS:
            *others, last = _divided(group, at)
            for way in others:
                with contextlib.ExitStack() as own:
                    fork, park = self._fork(own, branch, at, way)
                    yield from self._follow(own, fork, park, way, depth + 1)
            # After the last fork, the parked run is not needed.
            with contextlib.ExitStack() as own:
                fork, park = self._fork(own, branch, at, last)
                kept.close()
                kept.enter_context(own.pop_all())
            branch, at, group, depth = fork, park, last, depth + 1
        if not branch.parked:
            yield from self._ended(branch, group)
            return
        for fates in group:
            with contextlib.ExitStack() as own:
                fork, _ = self._fork(own, branch, at, [fates])
                yield from self._ended(fork, [fates])

    def _fork(self, own: contextlib.ExitStack, branch: Branch, at: int, group: list[Fates]) -> tuple[Branch, int]:
        """A fork for schedules with the same fault on a segment, and the segment at which it will be parked again."""
        park = _parting(group, at + 1)
        common = tuple(fate for fate in _from(group[0], at) if not park or fate.segment < park)
        self.forks += 1
        return own.enter_context(branch.fork(msgspec.json.encode(Schedule(common, park)).decode())), park

    def _ended(self, branch: Branch, group: list[Fates]) -> Iterator[Outcome]:
        """The outcome of a run that has ended; it is that of all schedules in the group."""
        failed: Failed | None
        try:
            result = branch.result
            if result.status == INTERRUPTED:
                raise KeyboardInterrupt
            failed = self._target.judge(result)
        except KernelFailed as error:
            failed = Failed("KernelFailed", str(error))
        if self._keep is not None:
            shutil.copytree(branch.results, self._keep, dirs_exist_ok=True)
        outcome = read_outcome(branch.results, group[0], failed)
        for fates in group:
            yield msgspec.structs.replace(outcome, fates=fates)


def _from(fates: Fates, at: int) -> Fates:
    return tuple(fate for fate in fates if fate.segment >= at)


def _divided(group: list[Fates], at: int) -> list[list[Fates]]:
    """The schedules grouped by their fault on a segment; those without a fault on it come last."""

    def way(fates: Fates) -> tuple[bool, str]:
        action = next((fate.action for fate in fates if fate.segment == at), "")
        return not action, action

    return [list(each) for _, each in itertools.groupby(sorted(group, key=way), key=way)]


def _parting(group: list[Fates], after: int) -> int:
    """The first segment from ``after`` on for which the schedules have different faults; 0 if there is none."""
    if len(group) == 1:
        return 0
    rests = [_from(fates, after) for fates in group]
    for each in itertools.zip_longest(*rests):
        if len(set(each)) > 1:
            return min(fate.segment for fate in each if fate is not None)
    return 0
