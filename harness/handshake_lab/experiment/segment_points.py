"""Describes the segments that are about to leave the middle: sender, kind, and number among those of its kind."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_matching import is_kind
from handshake_lab.plan.fault_text import PROGRAM_ACTIONS
from handshake_lab.plan.schedule import SegmentPoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.network.network import Network

#: The most specific kind first.
_KINDS = ("SYN", "SYN-ACK", "RST", "FIN", "DATA", "ACK", "any")


class SegmentPoints:
    """Counts segments by sender and kind, as faults do.

    Args:
        network: The network.
        now: The run's clock, in nanoseconds.
    """

    def __init__(self, network: Network, now: Callable[[], int]) -> None:
        self._hosts = {ip: host.name for host in network.hosts for ip in host.addresses}
        self._now = now
        self._from_sender: Counter[tuple[str, str]] = Counter()
        self._from_both: Counter[str] = Counter()

    def describe(self, watched: WatchedSegment) -> SegmentPoint:
        """The next segment, which is counted."""
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
    to = point.receiver if kind in PROGRAM_ACTIONS else None
    return Fault.make(kind, point.kind, nth=nth, from_=point.sender or None, to=to, by=how or None)
