"""Workers whose outcomes are kept, so that other searches of the same schedules need no runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.workers import Workers
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]


class Watched:
    """Workers whose outcomes are kept.

    Args:
        workers: Run the schedules.
        known: Outcomes of schedules that are not run.

    Attributes:
        outcomes: Those of all schedules that were asked for.
    """

    def __init__(self, workers: Workers, known: Mapping[Fates, Outcome] | None = None) -> None:
        self._workers = workers
        self._known = known or {}
        self.outcomes: dict[Fates, Outcome] = {}

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules."""
        unknown = [fates for fates in schedules if fates not in self._known]
        for outcome in self._workers.run(unknown):
            self.outcomes[outcome.fates] = outcome
            yield outcome
        for fates in schedules:
            if fates in self._known:
                self.outcomes[fates] = self._known[fates]
                yield self._known[fates]
