"""When a failure became inevitable: the last segment for which another fate would have saved the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.explore.settings import ACTIONS
from handshake_lab.plan.schedule import Fate, SegmentPoint

if TYPE_CHECKING:
    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.workers import Workers

#: Fates that are tried for later segments.
_TRIED = ("drop", "delay")
#: How many segments after the last fault are tried: later segments are rarely the cause of a failure.
_SEGMENTS = 24
#: For how many segments other fates are tried at the same time, from the last one on.
_TOGETHER = 6


class Inevitable(msgspec.Struct, frozen=True):
    """Where a failure became inevitable.

    Attributes:
        segment: The last segment for which another fate saves the run.
        saved_by: That fate: "deliver" for a segment to which a fault is done.
    """

    segment: SegmentPoint
    saved_by: str

    def __str__(self) -> str:
        point = self.segment
        return (
            f"The failure became inevitable at segment {point.number} ({point.kind} from {point.sender or '?'}, "
            f"{point.t / 1e9:.3f} s): with '{self.saved_by}' instead, the run passes; no fate of a later segment "
            "saves it."
        )


def inevitable(workers: Workers, outcome: Outcome) -> Inevitable | None:
    """Try other fates for the segments of a failing run, and find the last that saves it.

    Args:
        workers: Run the schedules.
        outcome: The run that fails.

    Returns:
        None if the run fails without any fault.
    """
    if not outcome.fates:
        return None
    last = outcome.fates[-1].segment
    later = [point for point in outcome.points if point.number > last and not point.lost and not point.fate]
    if not (outcome.failed and outcome.failed.of_property):
        later = [point for point in later if not point.after_script]  # the test had failed by then
    later = later[:_SEGMENTS]
    for end in range(len(later), 0, -_TOGETHER):
        tried = {
            (*outcome.fates, Fate(point.number, ACTIONS[kind])): (point, ACTIONS[kind])
            for point in later[max(end - _TOGETHER, 0) : end]
            for kind in _TRIED
        }
        saved = [tried[run.fates] for run in workers.run(list(tried)) if run.failed is None]
        if saved:
            return Inevitable(*max(saved, key=lambda each: each[0].number))
    return Inevitable(outcome.points[last - 1], "deliver")
