"""Reduces a finding: fewer faults, then simpler ones, as long as the failure has the same signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.explore.settings import ACTIONS
from handshake_lab.plan.schedule import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.plan.schedule import SegmentPoint

    Fates = tuple[Fate, ...]


class Shrinker:
    """Searches for the smallest schedule with the same failure.

    Args:
        run: Runs the schedules.
    """

    def __init__(self, run: Callable[[list[Fates]], Iterator[Outcome]]) -> None:
        self._outcomes_of = run
        self._outcomes: dict[Fates, Outcome] = {}

    def smallest(self, outcome: Outcome) -> tuple[Outcome, bool]:
        """The smallest run with the same failure, and whether a second run gave the same record."""
        again = self._run(outcome.fates)
        if again.digest != outcome.digest or again.failed != outcome.failed:
            return outcome, False
        found = True
        while found:
            found = False
            for smaller in self._smaller(outcome):
                tried = self._run(smaller)
                if tried.failed and outcome.failed and tried.failed.signature == outcome.failed.signature:
                    outcome, found = tried, True
                    break
        return outcome, True

    def _run(self, fates: Fates) -> Outcome:
        if fates not in self._outcomes:
            self._outcomes[fates] = next(self._outcomes_of([fates]))
        return self._outcomes[fates]

    def _smaller(self, outcome: Outcome) -> Iterator[Fates]:
        """Schedules with one fault less, then with a simpler fault."""
        fates = tuple(fate for fate in outcome.fates if fate not in outcome.unused)
        if fates != outcome.fates:
            yield fates
        for index in range(len(fates)):
            rest = (*fates[:index], *fates[index + 1 :])
            yield rest
            yield from self._same_segments(outcome, fates[:index], fates[index + 1 :])
        order = list(ACTIONS)
        for index, fate in enumerate(fates):
            for kind in order[: order.index(fate.kind)]:
                yield (*fates[:index], Fate(fate.segment, ACTIONS[kind]), *fates[index + 1 :])

    def _same_segments(self, outcome: Outcome, before: Fates, after: Fates) -> Iterator[Fates]:
        """Apply the later fates to the segments of the same kind and number from the same sender.

        Without the earlier fault, later segments have different numbers in the run.
        """
        if not after:
            return
        shorter = before
        for fate in after:
            wanted = _name(outcome.points[fate.segment - 1])
            points = self._run(shorter).points
            found = [point.number for point in points if _name(point) == wanted]
            if not found or (shorter and found[0] <= shorter[-1].segment):
                return
            shorter = (*shorter, Fate(found[0], fate.action))
        yield shorter


def _name(point: SegmentPoint) -> tuple[str, str, int]:
    return point.sender, point.kind, point.nth
