"""Relative sequence numbers, and which segment retransmits which."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.forwarding import Flow
from handshake_lab.tcp.sequence_numbers import distance, occupied

if TYPE_CHECKING:
    from handshake_lab.recording.observations import SegmentSeen


class _Flow:
    """One direction of a connection: its initial sequence number and the sequence numbers sent."""

    def __init__(self, base: int, *, opened: bool) -> None:
        self.base = base
        self.opened = opened  #: whether the base is that of a SYN; else it is a guess
        self._starts: list[int] = []  #: relative, ascending
        self._numbers: list[int] = []
        self._end = 0  #: relative, after everything sent so far
        self._syn: dict[str, int] = {}
        self._fin: tuple[int, int] | None = None  # relative, and the segment's number

    def repeats(self, number: int, seen: SegmentSeen) -> int | None:
        """The number of the segment that first contained the beginning of this one; None if this is the first."""
        size = occupied(seen.flags, seen.length)
        if size == 0 or "R" in seen.flags:
            return None
        if "S" in seen.flags:
            # With crossing SYNs, the SYN-ACK has the SYN's sequence number, and is another segment.
            kind = "SA" if "A" in seen.flags else "S"
            first = self._syn.setdefault(kind, number)
            self._end = max(self._end, 1)
            return None if first == number else first
        start = distance(self.base, seen.seq)
        if "F" in seen.flags:
            at = start + seen.length
            if seen.length == 0 and (self._fin is None or self._fin[0] != at) and start < self._end:
                # It is within data that was sent before: the receiver refused that data, or another host sent it.
                self._fin = at, number
                return None
            if seen.length == 0 and self._fin is not None and self._fin[0] == at:
                return self._fin[1]
            self._fin = self._fin or (at, number)
        if start >= self._end:
            self._starts.append(start)
            self._numbers.append(number)
            self._end = start + size
            return None
        self._end = max(self._end, start + size)
        place = bisect_right(self._starts, start)
        return self._numbers[place - 1] if place else None


class Numbering:
    """Follows every direction of every connection, segment by segment in order of time."""

    def __init__(self) -> None:
        self._flows: dict[Flow, _Flow] = {}

    def place(
        self, number: int, seen: SegmentSeen, sent: Flow, arriving: Flow, *, made_up: bool
    ) -> tuple[int, int, int | None]:
        """The place of a segment in its connection.

        Args:
            number: The segment's number.
            seen: The segment.
            sent: The addresses with which its flow is sent.
            arriving: Those with which it arrives; the opposite direction is sent with them.
            made_up: Whether the network crafted it: then its sequence number is not that of the sender's stream.

        Returns:
            The base of its sequence number, that of its acknowledgment, and the number
            of the segment that it retransmits, or None.
        """
        if seen.protocol == "UDP":
            return 0, 0, None
        if seen.icmp:  # its sequence number is that of the segment that it is about
            return self._flow(Flow(arriving.dst, arriving.src, arriving.node), seen.seq, opens=False).base, 0, None
        flow = self._flow(sent, seen.seq, opens="S" in seen.flags and not made_up)
        other = Flow(arriving.dst, arriving.src, arriving.node)
        back = self._flow(other, seen.ack, opens=False) if "A" in seen.flags else None
        return flow.base, back.base if back else 0, None if made_up else flow.repeats(number, seen)

    def _flow(self, key: Flow, seq: int, *, opens: bool) -> _Flow:
        flow = self._flows.get(key)
        if flow is None or (opens and (not flow.opened or flow.base != seq)):
            flow = self._flows[key] = _Flow(seq, opened=opens)
        return flow
