"""The search: every single fault, then every pair, and so on; failing schedules are run again and reduced."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.explore.finding import Finding
from handshake_lab.explore.settings import ACTIONS
from handshake_lab.explore.shrink import Shrinker
from handshake_lab.plan.schedule import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.settings import Settings
    from handshake_lab.explore.workers import Workers

    Fates = tuple[Fate, ...]

#: How many runs are started before their outcomes are used: equal for any number of workers, so that the findings do
#: not depend on it.
_ROUND = 64


class Exploration(msgspec.Struct):
    """The progress and the findings of a search.

    Attributes:
        runs: The number of runs so far, without those that reduce findings.
        planned: The number of runs in the present round of the search.
        complete: Whether all schedules have been tried.
        interrupted: Whether the user interrupted it (Ctrl-C).
        seconds: Wall time.
        segments: The number of segments of the run without faults.
        findings: One for each signature.
    """

    runs: int = 0
    planned: int = 0
    complete: bool = False
    interrupted: bool = False
    seconds: float = 0.0
    segments: int = 0
    findings: list[Finding] = []


def explore(
    workers: Workers, settings: Settings, progress: Callable[[Exploration], None] = lambda _: None
) -> Exploration:
    """Search a target for schedules that break it.

    Args:
        workers: Run its schedules.
        settings: The settings of the search.
        progress: Called after each run.
    """
    search = _Search(workers, settings, progress)
    try:
        search.all_levels()
    except KeyboardInterrupt:
        search.state.interrupted = True
    search.state.seconds = time.monotonic() - search.began
    return search.state


class _Search:
    def __init__(self, workers: Workers, settings: Settings, progress: Callable[[Exploration], None]) -> None:
        self.began = time.monotonic()
        self.state = Exploration()
        self._workers = workers
        self._settings = settings
        self._progress = progress
        self._found: dict[str, Outcome] = {}
        self._shrinker = Shrinker(workers)

    def all_levels(self) -> None:
        """Try no fault, then one, then two, up to the requested number."""
        level = list(self._run([()]))
        self.state.segments = len(level[0].points)
        self._note(level)
        for _ in range(self._settings.faults):
            schedules = [
                fates for outcome in level if not outcome.failed for fates in extended(outcome, self._settings)
            ]
            level = []
            self.state.planned = len(schedules)
            for first in range(0, len(schedules), _ROUND):
                batch = schedules[first : first + _ROUND]
                batch = batch[: self._left()]
                if not batch:
                    return
                outcomes = sorted(self._run(batch), key=lambda outcome: outcome.fates)
                self._note(outcomes)
                level += outcomes
            if self._left() == 0:
                return
        self.state.complete = True

    def _left(self) -> int | None:
        """How many more runs are permitted; None: no limit."""
        if self._settings.budget and time.monotonic() - self.began > self._settings.budget:
            return 0
        return max(self._settings.runs - self.state.runs, 0) if self._settings.runs else None

    def _run(self, schedules: list[Fates]) -> Iterator[Outcome]:
        for outcome in self._workers.run(schedules):
            self.state.runs += 1
            self.state.seconds = time.monotonic() - self.began
            self._progress(self.state)
            yield outcome

    def _note(self, outcomes: list[Outcome]) -> None:
        """Add a finding for each run that failed with a new signature."""
        for outcome in outcomes:
            if outcome.failed and outcome.failed.signature not in self._found:
                self._found[outcome.failed.signature] = outcome
                runs = self.state.runs
                smallest, repeatable = self._shrinker.smallest(outcome)
                self.state.findings.append(Finding(smallest, runs, repeatable))
                self._progress(self.state)


def extended(outcome: Outcome, settings: Settings) -> Iterator[Fates]:
    """The schedules with one more fault than a run's own, on one of its segments after the last fault."""
    after = outcome.fates[-1].segment if outcome.fates else 0
    for point in outcome.points:
        if point.number > after and not point.lost and not point.fate:
            for kind in settings.of:
                yield (*outcome.fates, Fate(point.number, ACTIONS[kind]))
