"""The outcome of one explored run: its segments, and the failure if there was one."""

from __future__ import annotations

import msgspec

from handshake_lab.experiment.properties import Sometimes
from handshake_lab.plan.schedule import Fate, SegmentPoint


class Failed(msgspec.Struct, frozen=True):
    """The failure of a run.

    Attributes:
        signature: Identifies the kind of failure: the exception and its place.
        text: The message.
    """

    signature: str
    text: str

    @property
    def of_property(self) -> bool:
        """Whether the run lacks a property (`handshake_lab.explore.properties`), rather than that its test failed."""
        return self.signature.startswith("property ")


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a run.

    Attributes:
        fates: The faults of its schedule.
        points: Its segments, in order.
        failed: The failure; None if it did not fail.
        digest: The digest of its record.
        features: Its features (`handshake_lab.explore.novelty`).
        held: How many sockets except listeners programs hold at its end.
        keys: A key for each of its segments, equal for equivalent places (`handshake_lab.explore.equivalence`); empty
            if they are unknown.
        sometimes: The claims made with `sometimes`, and whether they were true.
    """

    fates: tuple[Fate, ...]
    points: tuple[SegmentPoint, ...]
    failed: Failed | None
    digest: str
    features: frozenset[str] = frozenset()
    held: int = 0
    keys: tuple[str, ...] = ()
    sometimes: tuple[Sometimes, ...] = ()

    @property
    def unused(self) -> tuple[Fate, ...]:
        """The faults on segments that did not occur in the run."""
        last = self.points[-1].number if self.points else 0
        return tuple(fate for fate in self.fates if fate.segment > last)
