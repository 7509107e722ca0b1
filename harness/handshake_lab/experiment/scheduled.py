"""Executes a schedule: the faults on the segments of a run, by their numbers, and the segment at which it is forked.

All segments of the run are listed in a file beside the record (`POINTS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.experiment.segment_points import SegmentPoints, as_fault
from handshake_lab.kernel.lab.branch_point import fork_here, skip_fork
from handshake_lab.kernel.shared.job import BranchPoint
from handshake_lab.plan import units
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.schedule import CUT_OFF, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.network.network import Network

#: The file beside a run's record that lists its segments, one `SegmentPoint` per line.
POINTS = "points.jsonl"
#: Later segments of a run are delivered, and are not in that file: each takes two mounts, which remain.
MOST_SEGMENTS = 2000


class ScheduledFaults:
    """Decides what happens to the segments of a run.

    Args:
        schedule: The faults.
        network: The network.
        results: The directory with the run's results.
        moved: Called in a fork as soon as its own directory is mounted there.
        recording: The run.
    """

    #: The segments that it decides about. A run without segments is not an error.
    watched = Fault.parse("drop any optional")

    def __init__(
        self,
        schedule: Schedule,
        network: Network,
        results: Path,
        moved: Callable[[], None],
        recording: LiveRecording,
    ) -> None:
        self._schedule = schedule
        self._points = SegmentPoints(network, recording.clock.now)
        self._results = results
        self._moved = moved
        self._recording = recording
        self._cuts: dict[frozenset[str], int] = {}

    def decide(self, watched: WatchedSegment) -> Fault | None:
        """The fault on a segment. At the segment at which the run is parked, it returns once in each fork."""
        if watched.number > MOST_SEGMENTS:
            return None
        place = BranchPoint(f"segment {watched.number}", ())
        if watched.number == self._schedule.park:
            self._schedule = msgspec.json.decode(fork_here(place, self._moved), type=Schedule)
        else:
            skip_fork(place, self._moved)
        point = self._points.describe(watched)
        action = next((fate.action for fate in self._schedule.fates if fate.segment == watched.number), "")
        ends = frozenset((point.sender, point.receiver))
        if action.startswith("cut"):
            self._cuts[ends] = point.t + units.duration("cut", action.partition(" ")[2])
        elif point.t < self._cuts.get(ends, 0):
            action = CUT_OFF
        point = msgspec.structs.replace(
            point,
            fate=action,
            serves=bool(self._recording.servers.of(point.receiver)),
            after_script=bool(self._recording.script_ended),
        )
        with (self._results / POINTS).open("ab") as file:
            file.write(msgspec.json.encode(point) + b"\n")
        return as_fault(action, point) if action else None
