"""The outcome of one explored run: its segments, and the failure if there was one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.experiment.scheduled import POINTS
from handshake_lab.plan.schedule import Fate, SegmentPoint
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from pathlib import Path

_points = msgspec.json.Decoder(SegmentPoint)


class Failed(msgspec.Struct, frozen=True):
    """The failure of a run.

    Attributes:
        signature: Identifies the kind of failure: the exception and its place.
        text: The message.
    """

    signature: str
    text: str


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a run.

    Attributes:
        fates: The faults of its schedule.
        points: Its segments, in order.
        failed: The failure; None if it did not fail.
        digest: The digest of its record.
    """

    fates: tuple[Fate, ...]
    points: tuple[SegmentPoint, ...]
    failed: Failed | None
    digest: str

    @property
    def unused(self) -> tuple[Fate, ...]:
        """The faults on segments that did not occur in the run."""
        last = self.points[-1].number if self.points else 0
        return tuple(fate for fate in self.fates if fate.segment > last)


def read_outcome(results: Path, fates: tuple[Fate, ...], failed: Failed | None) -> Outcome:
    """The outcome of a run, from the files of its results."""
    points = results / POINTS
    events = results / EVENTS
    return Outcome(
        fates,
        tuple(_points.decode_lines(points.read_bytes())) if points.exists() else (),
        failed,
        hashlib.sha256(events.read_bytes()).hexdigest() if events.exists() else "",
    )
