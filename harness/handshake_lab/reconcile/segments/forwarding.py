"""Finds which segments routers forwarded, with or without translating addresses, and which they did not forward.

A router's captures contain a forwarded segment twice: received and sent. A translator (NAT) changes its addresses and
ports. IPv4's identification, the TCP header except ports and checksum, and the data remain, and identify it as the
same segment after any number of translators.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.node_addresses import is_loopback
from handshake_lab.tcp.udp import decode_datagram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.recording.observations import SegmentSeen
    from handshake_lab.tcp.address import Address

#: Bytes of a frame with the headers of Ethernet, IPv4 and TCP.
WHOLE = 54
#: The interface of connections within one host; nothing is forwarded there.
LOOPBACK = "lo"


class Flow(NamedTuple):
    """The addresses of a segment at one point of its path; ``node`` only if they do not identify the host."""

    src: Address
    dst: Address
    node: str = ""


class CapturedSegment(NamedTuple):
    """One capture of one segment. ``order`` is its place among all observations."""

    t: int
    order: int
    segment: SegmentSeen


class ForwardedSegments:
    """Divides captures into departures, arrivals and forwarding.

    Args:
        captures: All captures of segments.

    Attributes:
        departures: Segments that left the node that created them.
        arrivals: Segments that a node received and did not forward.
    """

    def __init__(self, captures: Iterable[CapturedSegment]) -> None:
        self.departures: list[CapturedSegment] = []
        self.arrivals: list[CapturedSegment] = []
        self._next: dict[Flow, list[tuple[int, Flow]]] = defaultdict(list)
        self._origin: dict[Flow, Flow] = {}
        self._forwarded: set[tuple[str, object]] = set()
        received: dict[tuple[str, object], deque[CapturedSegment]] = defaultdict(deque)
        for capture in _received_first(sorted(captures)):
            self._sort(capture, received)
        for waiting in received.values():
            self.arrivals += waiting
        self._errors: dict[tuple[str, Flow], list[SegmentSeen]] = defaultdict(list)
        for capture in self.departures:
            if capture.segment.icmp or "R" in capture.segment.flags:
                self._errors[capture.segment.node, flow_of(capture.segment)].append(capture.segment)

    def _sort(self, capture: CapturedSegment, received: dict[tuple[str, object], deque[CapturedSegment]]) -> None:
        seen = capture.segment
        key = None if seen.interface == LOOPBACK else untranslated(seen)
        if seen.direction == "received":
            if key is None:
                self.arrivals.append(capture)
            else:
                received[seen.node, key].append(capture)
        elif key is not None and (waiting := received.get((seen.node, key))):
            before, after = flow_of(waiting.popleft().segment), flow_of(seen)
            self._forwarded.add((seen.node, key))
            if before != after:
                self._translate(capture.t, before, after)
        elif (seen.node, key) not in self._forwarded:  # else the network made a duplicate at this node
            self.departures.append(capture)

    def _translate(self, t: int, before: Flow, after: Flow) -> None:
        """Add a translation; responses are translated in the opposite direction."""
        self._next[before].append((t, after))
        self._next[_back(after)].append((t, _back(before)))
        self._origin[after] = self._origin.get(before, before)

    def is_held(self, capture: CapturedSegment) -> bool:
        """Whether a translator should have forwarded what it received: a segment to its own address, but not for it.

        It is for the translator if that has forgotten the connection: then it has no socket for it, and answers with a
        RST (tcp_v4_send_reset()) or an ICMP error.
        """
        seen, flow = capture.segment, flow_of(capture.segment)
        if self.final(flow, capture.t) == flow or seen.node not in self.routers:
            return False
        answers = self._errors.get((seen.node, _back(flow)), ())
        expected = seen.ack if "A" in seen.flags else 0
        return not any(each.t >= capture.t and (each.icmp or each.seq == expected) for each in answers)

    @property
    def routers(self) -> frozenset[str]:
        """The nodes that forwarded segments."""
        return frozenset(node for node, _ in self._forwarded)

    def final(self, flow: Flow, t: int) -> Flow:
        """The addresses with which a flow's segments arrive; ``t`` is the time of sending, in nanoseconds."""
        *_, last = self.course(flow, t)
        return last

    def course(self, flow: Flow, t: int) -> Iterator[Flow]:
        """The addresses of a segment after each translator, if each forwards it."""
        passed: set[Flow] = set()
        while flow not in passed:
            passed.add(flow)
            yield flow
            following = self._next.get(flow)
            if not following:
                return
            # The translation that was in use then: the first at or after that time, else the last.
            flow = next((after for when, after in following if when >= t), following[-1][1])

    def origin(self, flow: Flow) -> Flow:
        """The addresses with which a flow's segments were sent, given those with which they arrive."""
        return self._origin.get(flow, flow)


def _received_first(captures: list[CapturedSegment]) -> Iterator[CapturedSegment]:
    """Move what a router received in front of what it sent at the same time on another interface.

    The clock of the lab kernel does not advance while the kernel forwards a segment, and every interface has a capture
    of its own: only the order of captures of one interface is that of the events.
    """
    for _, group in groupby(captures, key=lambda capture: capture.t):
        same = list(group)
        late: dict[tuple[str, object], list[CapturedSegment]] = defaultdict(list)
        for capture in same if len(same) > 1 else ():
            if capture.segment.direction == "received" and capture.segment.interface != LOOPBACK:
                late[capture.segment.node, untranslated(capture.segment)].append(capture)
        moved: set[int] = set()
        for capture in same:
            seen = capture.segment
            if seen.direction == "sent" and late:
                for other in late.get((seen.node, untranslated(seen)), ()):
                    if (
                        other.order > capture.order
                        and other.order not in moved
                        and other.segment.interface != seen.interface
                    ):
                        moved.add(other.order)
                        yield other
                        break
            if capture.order not in moved:
                yield capture


def _back(flow: Flow) -> Flow:
    return Flow(flow.dst, flow.src, flow.node)


def flow_of(seen: SegmentSeen) -> Flow:
    """The addresses of a segment where it was captured."""
    own = is_loopback(seen.src.ip) or is_loopback(seen.dst.ip)
    return Flow(seen.src, seen.dst, seen.node if own else "")


def untranslated(seen: SegmentSeen) -> bytes | tuple[object, ...]:
    """The parts of a segment that no router or translator changes; without its frame, those that no router changes."""
    frame = seen.frame
    if seen.protocol == "UDP" and not seen.icmp:
        datagram = decode_datagram(frame)
        if datagram is not None:
            identification = frame[18:20] if frame[12] == 0x08 else b""
            return b"UDP %d %b %b" % (seen.length, identification, frame[datagram.at + 8 : datagram.at + 68])
    if len(frame) < WHOLE:
        return seen.src, seen.dst, seen.flags, seen.seq, seen.ack, seen.length, seen.window
    if seen.icmp:
        return seen.icmp, seen.seq, frame[18:20] if frame[12] == 0x08 else b""
    if frame[12] == 0x08:
        at, identification = 14 + ((frame[14] & 15) << 2), frame[18:20]
    else:
        at, identification = 54, b""  # extension headers, if any, are compared as they are
    return b"%d %b %b %b" % (seen.length, identification, frame[at + 4 : at + 16], frame[at + 18 : at + 60])
