"""A finding: a schedule of faults with which the target fails."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.experiment.segment_points import as_fault
from handshake_lab.explore.outcome import Failed, Outcome

if TYPE_CHECKING:
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.schedule import SegmentPoint


class Finding(msgspec.Struct, frozen=True):
    """A schedule that breaks a target.

    Attributes:
        outcome: The outcome of the failing run, with as few faults as possible.
        runs: How many runs had been made when it was found.
        repeatable: Whether a second run gave the same record.
    """

    outcome: Outcome
    runs: int
    repeatable: bool = True

    @property
    def failed(self) -> Failed:
        """The failure."""
        assert self.outcome.failed is not None  # noqa: S101  it would not be a finding
        return self.outcome.failed

    @property
    def faults(self) -> list[Fault]:
        """The schedule as faults that can be activated before the run."""
        return faults_of(self.outcome.points)

    @property
    def name(self) -> str:
        """A name for directories and files: the faults, and a few letters of the signature's digest."""
        words = [re.sub(r"[^a-z0-9]+", "-", str(fault).lower()).strip("-") for fault in self.faults]
        digest = hashlib.sha256(self.failed.signature.encode()).hexdigest()[:6]
        return "-and-".join(words)[:60].rstrip("-") + f"-{digest}" if words else f"no-fault-{digest}"


def faults_of(points: tuple[SegmentPoint, ...]) -> list[Fault]:
    """The faults on the segments of a run; a cut is a drop of each segment that was lost in it."""
    return [as_fault(point.fate, point) for point in points if point.fate]
