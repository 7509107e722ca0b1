"""The search: every single fault, then every pair, or guided; failing schedules are run again and reduced."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.explore.equivalence import extensible
from handshake_lab.explore.finding import Finding
from handshake_lab.explore.guided import Corpus
from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.settings import ACTIONS, DESCRIPTORS
from handshake_lab.explore.shrink import Shrinker
from handshake_lab.plan.schedule import Fate, SegmentPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.settings import Settings
    from handshake_lab.explore.workers import Workers

    Fates = tuple[Fate, ...]

#: How many runs are started before their outcomes are used: equal for any number of workers, so that the findings do
#: not depend on it.
_ROUND = 64
#: The same for a search that ends with the first finding.
_SHORT_ROUND = 8
#: If there are more schedules with the same number of faults, the search is guided instead of exhaustive.
_MOST_EXHAUSTIVE = 5000


class Exploration(msgspec.Struct):
    """The progress and the findings of a search.

    Attributes:
        runs: The number of runs so far, without those that reduce findings.
        planned: The number of runs at the end of the current part of the search.
        complete: Whether all schedules have been tried.
        interrupted: Whether the user interrupted it (Ctrl-C).
        seconds: Wall time.
        segments: The number of segments of the run without faults.
        equivalent: Schedules that were not run, because equivalent ones were.
        features: The number of different features of all runs.
        corpus: The schedules whose runs had a new feature.
        never: The claims made with `sometimes` that were true in no run of a complete search.
        findings: One for each signature.
    """

    runs: int = 0
    planned: int = 0
    complete: bool = False
    interrupted: bool = False
    seconds: float = 0.0
    segments: int = 0
    equivalent: int = 0
    features: int = 0
    corpus: list[tuple[Fate, ...]] = []
    never: list[str] = []
    findings: list[Finding] = []


def explore(
    workers: Workers,
    settings: Settings,
    progress: Callable[[Exploration], None] = lambda _: None,
    corpus: Sequence[Fates] = (),
) -> Exploration:
    """Search a target for schedules that break it.

    Args:
        workers: Run its schedules.
        settings: The settings of the search.
        progress: Called after each run.
        corpus: Schedules that have shown something new in an earlier exploration: they are run first.
    """
    search = _Search(workers, settings, progress, corpus)
    try:
        search.all_levels()
    except KeyboardInterrupt:
        search.state.interrupted = True
    search.state.seconds = time.monotonic() - search.began
    return search.state


class _Search:
    def __init__(
        self,
        workers: Workers,
        settings: Settings,
        progress: Callable[[Exploration], None],
        corpus: Sequence[Fates],
    ) -> None:
        self.began = time.monotonic()
        self.state = Exploration()
        self._workers = workers
        self._settings = settings
        self._progress = progress
        self._saved = corpus
        self._done: dict[Fates, Outcome] = {}  # of the saved corpus
        self._signatures: set[str] = set()
        self._sometimes: dict[str, bool] = {}
        self._held: int | None = None
        self._known: set[str] = set()
        self._corpus = Corpus(settings)
        self._shrinker = Shrinker(self._outcomes)

    def all_levels(self) -> None:
        """Try no fault, then one, then two, up to the requested number."""
        level = self._round([()])
        self.state.segments = len(level[0].points)
        if self._saved and self._left() != 0:
            saved = self._round([fates for fates in self._saved if fates][: self._left()])
            self._done = {outcome.fates: outcome for outcome in saved}
        for faults in range(1, self._settings.faults + 1):
            passed = [outcome for outcome in level if not outcome.failed]
            schedules = [fates for outcome in passed for fates in self._extended(outcome)]
            if len(schedules) > self._exhaustible(faults):
                self._guided(self._exhaustible(faults))
                return
            if self._settings.shuffle:
                random.Random(f"{self._settings.shuffle} {faults}").shuffle(schedules)  # noqa: S311
            level = self._exhaustive(schedules)
            if len(level) < len(schedules):
                return
        self.state.complete = True
        self.state.never = sorted(what for what, held in self._sometimes.items() if not held)

    def _extended(self, outcome: Outcome) -> Iterator[Fates]:
        """The schedules with one more fault, except at places that are equivalent to an extended one."""
        points = _after_faults(outcome)
        if outcome.keys and self._settings.equivalent == "cut":
            keys = [outcome.keys[point.number - 1] for point in points]
            kept = extensible(points, keys, self._known)
            cut = {point.number for point in points} - {point.number for point in kept}
            self.state.equivalent += sum(len(self._settings.kinds_at(point)) for point in points if point.number in cut)
            points = kept
        return extended(outcome, self._settings, points)

    def _exhaustible(self, faults: int) -> int:
        """The maximum number of schedules with this number of faults for an exhaustive search."""
        left = self._left()
        return _MOST_EXHAUSTIVE if left is None or (faults == 1 and left) else left

    def _exhaustive(self, schedules: list[Fates]) -> list[Outcome]:
        """Run schedules in their order, as far as the limits allow."""
        outcomes: list[Outcome] = []
        self.state.planned = self.state.runs + len(schedules)
        size = _SHORT_ROUND if self._settings.findings else _ROUND
        for first in range(0, len(schedules), size):
            batch = schedules[first : first + size][: self._left()]
            if not batch:
                break
            outcomes += self._round(batch)
        return outcomes

    def _guided(self, most: int) -> None:
        """Run schedules that are derived from earlier ones with new features."""
        end = self.state.runs + most
        self.state.planned = end
        while self.state.runs < end and self._left() != 0:
            batch = self._corpus.next_round(min(_SHORT_ROUND * 2, end - self.state.runs))
            if not batch:
                return
            self._round(batch[: self._left()])

    def _round(self, schedules: list[Fates]) -> list[Outcome]:
        """Run schedules; each failure with a new signature becomes a finding, in the order of the schedules."""
        before = self.state.runs
        outcomes: dict[Fates, Outcome] = {}
        fresh = [fates for fates in schedules if fates not in self._done]
        for outcome in self._outcomes(fresh):
            outcomes[outcome.fates] = outcome
            self.state.runs += 1
            self.state.seconds = time.monotonic() - self.began
            self._progress(self.state)
        for number, outcome in enumerate((outcomes[fates] for fates in fresh), before + 1):
            self._corpus.add(outcome)
            for each in outcome.sometimes:
                self._sometimes[each.what] = self._sometimes.get(each.what, False) or each.held
            if self._is_new(outcome):
                smallest, repeatable = self._shrinker.smallest(outcome)
                finding = Finding(smallest, number, repeatable)
                self._signatures.add(finding.failed.signature)
                self.state.findings.append(finding)
        self.state.features, self.state.corpus = self._corpus.features, self._corpus.fates
        self._progress(self.state)
        return [outcomes[fates] if fates in outcomes else self._done[fates] for fates in schedules]

    def _outcomes(self, schedules: list[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules, with failures that require a comparison with the run without faults."""
        for outcome in self._workers.run(schedules):
            if self._held is None and not outcome.fates:
                self._held = outcome.held
            more = outcome.held - (self._held or 0)
            if DESCRIPTORS in self._settings.properties and more > 0 and not outcome.failed:
                text = f"{DESCRIPTORS}: at the end, programs hold {more} sockets more than without faults"
                yield msgspec.structs.replace(outcome, failed=Failed(f"property {DESCRIPTORS}", text))
            else:
                yield outcome

    def _is_new(self, outcome: Outcome) -> bool:
        """Whether a run failed with a new signature, and more findings are wanted."""
        enough = 0 < self._settings.findings <= len(self.state.findings)
        return outcome.failed is not None and outcome.failed.signature not in self._signatures and not enough

    def _left(self) -> int | None:
        """How many runs may still be made; None for any number."""
        if 0 < self._settings.findings <= len(self.state.findings):
            return 0
        if self._settings.budget and time.monotonic() - self.began > self._settings.budget:
            return 0
        return max(self._settings.runs - self.state.runs, 0) if self._settings.runs else None


def extended(outcome: Outcome, settings: Settings, points: Sequence[SegmentPoint] | None = None) -> Iterator[Fates]:
    """The schedules that add one fault to a run's own, on one of its segments after the last fault.

    Args:
        outcome: The run.
        settings: The settings, with the kinds of faults.
        points: The segments for the added fault; None for all.
    """
    for point in _after_faults(outcome) if points is None else points:
        for kind in settings.kinds_at(point):
            yield (*outcome.fates, Fate(point.number, ACTIONS[kind]))


def _after_faults(outcome: Outcome) -> list[SegmentPoint]:
    after = outcome.fates[-1].segment if outcome.fates else 0
    return [point for point in outcome.points if point.number > after and not point.lost and not point.fate]
