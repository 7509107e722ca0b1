"""The states of one end, derived from its segments.

A capture does not contain "FIN-WAIT-2", but it shows that a FIN was sent and acknowledged. `SegmentIndex`
finds such marks, and `implied` derives the transitions that RFC 9293 prescribes for them. This is independent
of the kernel's observers: it adds states that none of them observed, and finds the segment that caused a
transition.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.tcp.sequence_numbers import add, distance, occupied
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd


class Mark(Enum):
    """The effect of a segment on this end; each can occur once, except resets."""

    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    SYN_ACK_SENT = auto()
    SYN_ACKED = auto()  #: the peer acknowledged this end's SYN
    FIN_SENT = auto()
    FIN_ACKED = auto()  #: the peer acknowledged this end's FIN
    FIN_RECEIVED = auto()  #: in order: with all data before it
    RST_SENT = auto()
    RST_RECEIVED = auto()  #: one that this end must accept
    RST_PERHAPS = auto()  #: one that it may accept, depending on the data that it accepted and on its settings
    DENIED = auto()  #: this end answered a SYN or SYN-ACK with a RST: it was no longer connecting
    REFUSED = auto()  #: a listener's end answered another SYN in the window with a RST, and removed the request


class ImpliedTransition(NamedTuple):
    """A transition that follows from a segment."""

    old: State
    new: State
    leg: SegmentAtEnd


_NOTHING: frozenset[Mark] = frozenset()

#: For each state, the marks that a segment must have and the next state; the first that fits counts.
_RULES: dict[State, tuple[tuple[frozenset[Mark], State], ...]] = {
    State.CLOSED: ((frozenset({Mark.SYN_SENT}), State.SYN_SENT),),
    State.LISTEN: ((frozenset({Mark.SYN_ACK_SENT}), State.SYN_RECEIVED),),
    State.SYN_SENT: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.DENIED}), State.CLOSED),
        (frozenset({Mark.SYN_RECEIVED, Mark.SYN_ACKED}), State.ESTABLISHED),
        (frozenset({Mark.SYN_RECEIVED}), State.SYN_RECEIVED),
    ),
    State.SYN_RECEIVED: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.REFUSED}), State.CLOSED),
        (frozenset({Mark.SYN_ACKED}), State.ESTABLISHED),
        (frozenset({Mark.FIN_SENT}), State.FIN_WAIT_1),
    ),
    State.ESTABLISHED: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_RECEIVED}), State.CLOSE_WAIT),
        (frozenset({Mark.FIN_SENT}), State.FIN_WAIT_1),
    ),
    State.FIN_WAIT_1: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_ACKED, Mark.FIN_RECEIVED}), State.TIME_WAIT),
        (frozenset({Mark.FIN_ACKED}), State.FIN_WAIT_2),
        (frozenset({Mark.FIN_RECEIVED}), State.CLOSING),
    ),
    State.FIN_WAIT_2: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_RECEIVED}), State.TIME_WAIT),
    ),
    State.CLOSE_WAIT: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_SENT}), State.LAST_ACK),
    ),
    State.CLOSING: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_ACKED}), State.TIME_WAIT),
    ),
    State.LAST_ACK: (
        (frozenset({Mark.RST_RECEIVED}), State.CLOSED),
        (frozenset({Mark.RST_SENT}), State.CLOSED),
        (frozenset({Mark.FIN_ACKED}), State.CLOSED),
    ),
    State.TIME_WAIT: ((frozenset({Mark.RST_RECEIVED}), State.CLOSED),),
}


class SegmentIndex:
    """The segments of one endpoint, in the order in which it sent and received them.

    Args:
        legs: The segments that were sent and received at this end, in order of time.

    Attributes:
        legs: The same.
        leaky: Whether this end demonstrably sent or received something that was not captured:
        the states derived from it are then not reliable.
    """

    def __init__(self, legs: Sequence[SegmentAtEnd]) -> None:
        self.legs = legs
        self.leaky = False
        self._initial: int | None = None  # this end's initial sequence number
        self._sent_end: int | None = None  # after everything that this end sent
        self._fin: int | None = None  # its FIN's sequence number
        self._peer_initial: int | None = None  # the peer's initial sequence number
        self._intruder = False  # whether the last segment was another SYN in a request's window
        self._expected: int | None = None  # RCV.NXT, if it accepted all data that arrived in order
        self._acknowledged: int | None = None  # RCV.NXT by its last ACK
        self._early: list[tuple[int, int]] = []  # received after a gap, in order
        self._peer_fin: int | None = None  # after the peer's FIN
        self._found: set[Mark] = set()
        self._denied = frozenset(_denied(legs))
        self.marks: list[frozenset[Mark]] = [self._read(leg) for leg in legs]
        self._first = {mark: leg for leg, marks in reversed(list(zip(legs, self.marks, strict=True))) for mark in marks}

    def first(self, mark: Mark) -> SegmentAtEnd | None:
        """The first segment with a mark."""
        return self._first.get(mark)

    def implied(self, state: State, low: int, high: int) -> Iterator[ImpliedTransition]:
        """The transitions that follow by RFC 9293 from the segments in [low, high], starting in a state."""
        for leg, marks in zip(self.legs, self.marks, strict=True):
            if leg.t > high:
                return
            if leg.t < low or not marks:
                continue
            left = marks
            while True:
                for needed, new in _RULES[state]:
                    if needed <= left:
                        yield ImpliedTransition(state, new, leg)
                        state, left = new, left - needed
                        break
                else:
                    break

    def acknowledges_syn(self, leg: SegmentAtEnd) -> bool:
        """Whether a received segment acknowledges this end's SYN.

        One with a SYN does if this end sent a SYN too and it is the first one received, or its retransmission
        (a simultaneous open; tcp_validate_incoming(), net/ipv4/tcp_input.c).
        """
        if "S" in leg.segment.flags and not (Mark.SYN_SENT in self._found and self._peer_initial == leg.segment.seq):
            return False
        return self._acknowledges(leg, self._initial)

    def acknowledges_fin(self, leg: SegmentAtEnd) -> bool:
        """Whether a segment that arrived acknowledges this end's FIN."""
        return self._acknowledges(leg, self._fin)

    def _acknowledges_unsent(self, leg: SegmentAtEnd) -> bool:
        """Whether the peer acknowledges data that were not captured when they were sent.

        Not while the SYN is unanswered, because the acknowledgment may belong to an earlier connection, nor if
        the network crafted the segment.
        """
        segment = leg.segment
        return (
            "A" in segment.flags
            and segment.sent is not None
            and self._sent_end is not None
            and Mark.SYN_ACKED in self._found
            and distance(self._sent_end, segment.ack) > 0
        )

    def _acknowledges(self, leg: SegmentAtEnd, seq: int | None) -> bool:
        """Whether a segment acknowledges ``seq``, and nothing that was not sent."""
        if leg.outgoing or "A" not in leg.segment.flags or seq is None or self._sent_end is None:
            return False
        return distance(seq, leg.segment.ack) >= 1 and distance(leg.segment.ack, self._sent_end) >= 0

    def _read(self, leg: SegmentAtEnd) -> frozenset[Mark]:
        if leg.segment.icmp:
            return _NOTHING
        if leg.segment.number in self._denied and not leg.outgoing:
            return frozenset({Mark.DENIED})
        found = set(self._read_sent(leg) if leg.outgoing else self._read_received(leg))
        if not found:
            return _NOTHING
        once = found - self._found
        self._found |= once - {Mark.RST_SENT, Mark.RST_RECEIVED, Mark.RST_PERHAPS}
        return frozenset(once)

    def _read_sent(self, leg: SegmentAtEnd) -> Iterator[Mark]:
        segment = leg.segment
        flags = segment.flags
        intruder, self._intruder = self._intruder, False
        if "R" in flags:
            yield Mark.RST_SENT
            if intruder:
                yield Mark.REFUSED
            return
        end = add(segment.seq, occupied(flags, segment.length))
        if "S" in flags:
            self._initial = segment.seq
            if "A" in flags and Mark.SYN_RECEIVED not in self._found:
                self.leaky = True  # it answers a SYN that was not captured
            yield Mark.SYN_ACK_SENT if "A" in flags else Mark.SYN_SENT
        if self._sent_end is None or distance(self._sent_end, end) > 0:
            self._sent_end = end
        if "F" in flags:
            self._fin = add(end, -1)
            yield Mark.FIN_SENT
        if "A" in flags:
            self._acknowledged = segment.ack
        # Its acknowledgment covers what it received, whether or not that was captured.
        if "A" in flags and self._expected is not None and distance(self._expected, segment.ack) > 0:
            self._expected = segment.ack
            if self._peer_fin is not None and distance(self._peer_fin, segment.ack) >= 0:
                yield Mark.FIN_RECEIVED
            else:
                self.leaky = True

    def _read_received(self, leg: SegmentAtEnd) -> Iterator[Mark]:
        segment = leg.segment
        flags = segment.flags
        if "R" in flags:
            yield from self._read_reset(leg)
            return
        if self._acknowledges_unsent(leg):
            self.leaky = True
        if "S" in flags:
            if not self._takes_syn(leg):
                return
            yield Mark.SYN_RECEIVED
        if self.acknowledges_syn(leg):
            yield Mark.SYN_ACKED
        if self.acknowledges_fin(leg):
            yield Mark.FIN_ACKED
        start = add(segment.seq, "S" in flags)
        end = add(start, segment.length + ("F" in flags))
        if "F" in flags:
            self._peer_fin = end
        if start != end and self._advance(start, end):
            yield Mark.FIN_RECEIVED

    def _read_reset(self, leg: SegmentAtEnd) -> Iterator[Mark]:
        if self._must_accept(leg):
            yield Mark.RST_RECEIVED
        elif self._may_accept(leg.segment.seq):
            yield Mark.RST_PERHAPS

    def _takes_syn(self, leg: SegmentAtEnd) -> bool:
        """Whether a SYN is the first for this end, or its retransmission; any other can only end a request."""
        seq = leg.segment.seq
        # In SYN-SENT, what it acknowledges comes first: tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c.
        if self._peer_initial is None and (Mark.SYN_SENT not in self._found or self._acknowledges_rightly(leg)):
            self._peer_initial, self._expected = seq, add(seq, 1)
        if self._peer_initial == seq:
            return True
        # As in tcp_check_req(), net/ipv4/tcp_minisocks.c; whether it is in the window, the RST shows.
        waits = not self._found & {Mark.SYN_SENT, Mark.SYN_ACKED}
        beyond = self._expected is not None and distance(self._expected, seq) >= 0
        self._intruder = waits and beyond and self._acknowledges_rightly(leg)
        return False

    def _acknowledges_rightly(self, leg: SegmentAtEnd) -> bool:
        """Whether a segment acknowledges nothing, or this end's SYN."""
        return "A" not in leg.segment.flags or self._acknowledges(leg, self._initial)

    def _advance(self, start: int, end: int) -> bool:
        """Add received sequence numbers. Returns whether the peer's FIN is in order now."""
        if self._expected is None:
            self._expected = start
        before = self._expected
        if distance(before, start) > 0:
            place = bisect_left(self._early, distance(before, start), key=lambda block: distance(before, block[0]))
            self._early.insert(place, (start, end))
        elif distance(before, end) > 0:
            self._expected = end
        passed = 0
        for start_of, end_of in self._early:  # in order, and after a gap until it is filled
            if distance(self._expected, start_of) > 0:
                break
            passed += 1
            if distance(self._expected, end_of) > 0:
                self._expected = end_of
        del self._early[:passed]
        fin = self._peer_fin
        return fin is not None and distance(before, fin) > 0 and distance(self._expected, fin) <= 0

    def _must_accept(self, leg: SegmentAtEnd) -> bool:
        """RFC 9293, section 3.10.7, with RFC 5961's exactness (tcp_validate_incoming(), net/ipv4/tcp_input.c)."""
        segment = leg.segment
        if Mark.SYN_RECEIVED not in self._found and Mark.SYN_SENT in self._found:  # SYN-SENT
            return "A" in segment.flags and self.acknowledges_syn(leg)
        return self._expected is None or segment.seq == self._expected

    def _may_accept(self, seq: int) -> bool:
        """What Linux accepts besides: after data received beyond a gap, or at an accepted FIN (tcp_reset_check()).

        Data that arrived in order may have been refused, for their timestamp or for lack of space: RCV.NXT is then
        that of the last ACK.
        """
        believed = {self._acknowledged, *(end for _, end in self._early)}
        if self._expected is not None and Mark.FIN_RECEIVED in self._found and Mark.FIN_ACKED not in self._found:
            believed.add(add(self._expected, -1))
        return seq in believed


def _denied(legs: Sequence[SegmentAtEnd]) -> Iterator[int]:
    """The numbers of the SYNs and valid SYN-ACKs that this end answered with a RST after it had sent a SYN."""
    initial: int | None = None
    offered: SegmentAtEnd | None = None
    for leg in legs:
        flags = leg.segment.flags
        if leg.outgoing:
            if flags.startswith("S") and "A" not in flags:
                initial = leg.segment.seq
            elif offered is not None:
                if "R" in flags:
                    yield offered.segment.number
                return
        elif "S" in flags and initial is not None and ("A" not in flags or leg.segment.ack == add(initial, 1)):
            offered = offered or leg
