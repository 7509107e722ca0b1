"""A finding: a schedule of faults under which what is explored fails."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.experiment.scheduled import as_fault
from handshake_lab.explore.outcome import Failed, Outcome

if TYPE_CHECKING:
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.schedule import SegmentPoint


class Finding(msgspec.Struct, frozen=True):
    """What breaks a target.

    Attributes:
        outcome: The outcome of the run that fails, with as few faults as possible.
        runs: How many runs had been made when it was found first.
        repeatable: Whether a second run gave the same record.
    """

    outcome: Outcome
    runs: int
    repeatable: bool = True

    @property
    def failed(self) -> Failed:
        """How it fails."""
        assert self.outcome.failed is not None  # noqa: S101  it would not be a finding
        return self.outcome.failed

    @property
    def faults(self) -> list[Fault]:
        """What has to be done to the segments, as faults that can be put in force before the run."""
        return faults_of(self.outcome.points)

    @property
    def name(self) -> str:
        """For directories and files: what is done, and a few letters of the signature's digest."""
        words = [re.sub(r"[^a-z0-9]+", "-", str(fault).lower()).strip("-") for fault in self.faults]
        digest = hashlib.sha256(self.failed.signature.encode()).hexdigest()[:6]
        return "-and-".join(words)[:60].rstrip("-") + f"-{digest}" if words else f"no-fault-{digest}"


def faults_of(points: tuple[SegmentPoint, ...]) -> list[Fault]:
    """What was done to the segments of a run, as faults; a cut is a drop of each segment that was lost in it."""
    return [as_fault(point.fate, point) for point in points if point.fate]
