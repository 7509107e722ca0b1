"""The guided search: derives schedules from those whose runs had a new feature.

The selection depends only on a seed and on the outcomes of earlier rounds, so that it is the same for any number of
workers.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from handshake_lab.explore.settings import ACTIONS
from handshake_lab.plan.schedule import Fate

if TYPE_CHECKING:
    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.settings import Settings

    Fates = tuple[Fate, ...]

#: Runs with a feature that at most this many runs have are extended.
_RARE = 2
#: The number of attempts to find an untried schedule, after which a round ends with fewer schedules.
_ATTEMPTS = 40


class Corpus:
    """The schedules whose runs had a new feature, and the schedules derived from them.

    Args:
        settings: What may be tried.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: Counter[str] = Counter()
        self._members: list[Outcome] = []
        self._chosen: Counter[Fates] = Counter()
        self._tried: set[Fates] = set()
        self._rounds = 0

    @property
    def fates(self) -> list[Fates]:
        """Its schedules, in the order in which they were added."""
        return [member.fates for member in self._members]

    @property
    def features(self) -> int:
        """The number of different features of all runs."""
        return len(self._seen)

    def add(self, outcome: Outcome) -> None:
        """Add a run; its schedule becomes a member if it did not fail and has a feature that no earlier run had."""
        self._tried.add(outcome.fates)
        is_new = any(feature not in self._seen for feature in outcome.features)
        self._seen.update(outcome.features)
        if outcome.failed is None and (is_new or not self._members):
            self._members.append(outcome)

    def next_round(self, count: int) -> list[Fates]:
        """Untried schedules: members with one more fault, or with another fault.

        Each round uses only some kinds of faults, because most runs with all kinds end early.
        """
        self._rounds += 1
        chance = random.Random(f"{self._settings.shuffle} round {self._rounds}")  # noqa: S311
        kinds = [kind for kind in self._settings.of if chance.random() < 0.5] or [chance.choice(self._settings.of)]
        made: list[Fates] = []
        for _ in range(count * _ATTEMPTS):
            if len(made) == count:
                break
            fates = self._changed(chance, kinds)
            if fates and fates not in self._tried:
                self._tried.add(fates)
                made.append(fates)
        return made

    def _changed(self, chance: random.Random, kinds: list[str]) -> Fates:
        weights = [self._worth(member) for member in self._members]
        parent = chance.choices(self._members, weights)[0]
        self._chosen[parent.fates] += 1
        fates = list(parent.fates)
        if len(fates) >= self._settings.faults:
            fates.pop(chance.randrange(len(fates)))
        taken = {fate.segment for fate in fates}
        free = [point for point in parent.points if point.number not in taken and not point.lost]
        if not free:
            return ()
        point = chance.choice(free)
        possible = [kind for kind in kinds if kind in self._settings.kinds_at(point)]
        if not possible:
            return ()
        fates.append(Fate(point.number, ACTIONS[chance.choice(possible)]))
        return tuple(sorted(fates))

    def _worth(self, member: Outcome) -> float:
        """The weight of a member: greater for features that few runs have, less if it was often extended."""
        rare = sum(self._seen[feature] <= _RARE for feature in member.features)
        return (1 + rare) / (1 + self._chosen[member.fates])
