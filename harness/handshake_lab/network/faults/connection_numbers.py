"""The sequence numbers that each end of a connection has sent and received, as seen in the middle. Pure.

They give a crafted segment the numbers that its receiver expects, or numbers at a chosen distance
from those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.sequence_numbers import add, after, before, occupied

if TYPE_CHECKING:
    from handshake_lab.tcp.segment import Segment


class ConnectionEnd(msgspec.Struct):
    """One end of a connection.

    Attributes:
        address: Its IP address and port.
        sent: The sequence number after all data that it has sent; None before its first segment.
        given: The sequence number that it expects next: after all data that it has received in order.
        opened: The sequence number of its SYN; None if that was not observed.
        last: The sequence number of the last segment that it has sent.
        acked: The highest acknowledgment number that the other end has sent.
    """

    address: Address
    sent: int | None = None
    given: int | None = None
    opened: int | None = None
    last: int | None = None
    acked: int | None = None
    waiting: list[tuple[int, int]] = []


class ConnectionNumbers:
    """The connections observed so far; of two with the same four-tuple, the later one."""

    def __init__(self) -> None:
        self._ends: dict[tuple[Address, Address], tuple[ConnectionEnd, ConnectionEnd]] = {}
        #: How many segments hosts have sent, which numbers them as a ladder does.
        self.count = 0

    def sent(self, segment: Segment) -> tuple[ConnectionEnd, ConnectionEnd]:
        """Process a segment that a host sent.

        Returns:
            The sender's end of its connection, and the other.
        """
        self.count += 1
        mine, other = self._pair(segment)
        end = add(segment.seq, occupied(segment.flags, segment.length))
        if "S" in segment.flags:
            mine.opened = segment.seq
        if mine.sent is None or segment.flags == "S" or after(end, mine.sent):
            mine.sent = end
        mine.last = segment.seq
        if "A" in segment.flags and (other.acked is None or after(segment.ack, other.acked)):
            other.acked = segment.ack
        return mine, other

    def given(self, segment: Segment) -> None:
        """Process a segment that was forwarded to its receiver."""
        _, other = self._pair(segment)
        if "R" in segment.flags:
            return
        start, end = segment.seq, add(segment.seq, occupied(segment.flags, segment.length))
        if other.given is None or "S" in segment.flags:
            other.given, other.waiting = end, []
            return
        other.waiting.append((start, end))
        moved = True
        while moved:
            moved = False
            for start, end in other.waiting:
                if not after(start, other.given) and before(other.given, end):
                    other.given, moved = end, True
        expected = other.given
        other.waiting = [piece for piece in other.waiting if after(piece[0], expected)]

    def latest(self, receiver: set[str], sender: set[str], port: int) -> tuple[ConnectionEnd, ConnectionEnd] | None:
        """The most recently active connection with one end at one of the receiver's addresses.

        Args:
            receiver: IP addresses of the host that is to receive.
            sender: IP addresses of the host that appears as the sender; empty for any.
            port: A port that the connection has at either end; 0 for any.

        Returns:
            The sender's end and the receiver's; None if there is no such connection.
        """
        for (one, other), (end, far) in reversed(self._ends.items()):
            for source, target, ends in ((one, other, (end, far)), (other, one, (far, end))):
                heard = ends[1].given is not None or ends[1].sent is not None
                known = target.ip in receiver and (not sender or source.ip in sender)
                if heard and known and (not port or port in (source.port, target.port)):
                    return ends
        return None

    def ends(self, source: Address, target: Address) -> tuple[ConnectionEnd, ConnectionEnd]:
        """The ends of the connection between two addresses; new ones, if no segment of it has been observed."""
        found = self._ends.get((source, target))
        if found is not None:
            return found
        back = self._ends.get((target, source))
        return (back[1], back[0]) if back is not None else (ConnectionEnd(source), ConnectionEnd(target))

    def _pair(self, segment: Segment) -> tuple[ConnectionEnd, ConnectionEnd]:
        key, back = (segment.src, segment.dst), (segment.dst, segment.src)
        pair = self._ends.pop(key, None)
        swapped = False
        if pair is None:
            found = self._ends.pop(back, None)
            pair = (found[1], found[0]) if found else (ConnectionEnd(segment.src), ConnectionEnd(segment.dst))
            swapped = found is not None
        # Sorted by the time of the last use.
        self._ends[back if swapped else key] = (pair[1], pair[0]) if swapped else pair
        return pair
