"""Executes a schedule: the faults on the segments of a run, by their numbers, and the segment at which it is forked.

All segments of the run are listed in a file beside the record (`POINTS`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.kernel.lab.branch_point import fork_here, skip_fork
from handshake_lab.kernel.shared.job import BranchPoint
from handshake_lab.plan import units
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_matching import is_kind
from handshake_lab.plan.schedule import CUT_OFF, Schedule, SegmentPoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.network.network import Network

#: The file beside a run's record that lists its segments, one `SegmentPoint` per line.
POINTS = "points.jsonl"
#: Later segments of a run are delivered, and are not in that file: each takes two mounts, which remain.
MOST_SEGMENTS = 2000
#: The most specific kind first.
_KINDS = ("SYN", "SYN-ACK", "RST", "FIN", "DATA", "ACK", "any")


class ScheduledFaults:
    """Decides what happens to the segments of a run.

    Args:
        schedule: The faults.
        network: The network.
        results: The directory with the run's results.
        moved: Called in a fork as soon as its own directory is mounted there.
        now: The run's clock, in nanoseconds.
    """

    #: The segments that it decides about. A run without segments is not an error.
    watched = Fault.parse("drop any optional")

    def __init__(
        self,
        schedule: Schedule,
        network: Network,
        results: Path,
        moved: Callable[[], None],
        now: Callable[[], int],
    ) -> None:
        self._schedule = schedule
        self._hosts = {ip: host.name for host in network.hosts for ip in host.addresses}
        self._results = results
        self._moved = moved
        self._now = now
        self._from_sender: Counter[tuple[str, str]] = Counter()
        self._from_both: Counter[str] = Counter()
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
        point = self._described(watched)
        action = next((fate.action for fate in self._schedule.fates if fate.segment == watched.number), "")
        ends = frozenset((point.sender, point.receiver))
        if action.startswith("cut"):
            self._cuts[ends] = point.t + units.duration("cut", action.partition(" ")[2])
        elif point.t < self._cuts.get(ends, 0):
            action = CUT_OFF
        with (self._results / POINTS).open("ab") as file:
            file.write(msgspec.json.encode(msgspec.structs.replace(point, fate=action)) + b"\n")
        return as_fault(action, point) if action else None

    def _described(self, watched: WatchedSegment) -> SegmentPoint:
        segment = watched.segment
        sender = self._hosts.get(segment.src.ip, "")
        found = [kind for kind in _KINDS if is_kind(segment, kind)]
        self._from_sender.update((sender, kind) for kind in found)
        self._from_both.update(found)
        kind = found[0]
        return SegmentPoint(
            number=watched.number,
            t=self._now(),
            sender=sender,
            receiver=watched.receiver,
            flags=segment.flags,
            length=segment.length,
            kind=kind,
            nth=self._from_sender[sender, kind],
            nth_of_both=self._from_both[kind],
            lost=watched.lost,
        )


def as_fault(action: str, point: SegmentPoint) -> Fault:
    """The action on one segment, as a fault that can be activated before a run.

    Args:
        action: One of `handshake_lab.plan.schedule.FATES`, or `CUT_OFF`. A cut gives one fault for each segment that
            is lost in it.
        point: The segment.
    """
    if action == "reset":
        return Fault.make("inject", "RST", to=point.receiver, on=point.kind, nth=point.nth_of_both)
    kind, _, how = ("drop", "", "") if action.startswith("cut") else action.partition(" ")
    nth = point.nth if point.sender else point.nth_of_both
    return Fault.make(kind, point.kind, nth=nth, from_=point.sender or None, by=how or None)
