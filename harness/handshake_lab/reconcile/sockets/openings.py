"""Where connections begin in the segments between two addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import FOREVER, SLACK
from handshake_lab.tcp.sequence_numbers import add
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd
    from handshake_lab.reconcile.sockets.traced import ObservedSocket


def opening_of(observed: ObservedSocket, legs: Sequence[SegmentAtEnd]) -> int:
    """The time of a socket's first segment."""
    if not observed.passive:
        # The socket may have had another connection just before: this one begins with its own SYN.
        sent = (leg.t for leg in legs if leg.outgoing and _asks(leg) and leg.t >= observed.born - SLACK)
        first = next(sent, FOREVER)
        return first if first <= observed.born + SLACK else observed.born - SLACK
    known = observed.polled.polls[0].t if observed.polled else observed.born
    syns = [leg for leg in legs if not leg.outgoing and _asks(leg) and leg.t <= known + SLACK]
    if not syns:
        return observed.born - SLACK
    # A SYN that reaches an existing connection is not answered with a SYN-ACK.
    taken = {leg.segment.ack for leg in legs if _grants(leg)}
    syns = [leg for leg in syns if taken & _acknowledging(leg)] or syns
    same = [leg for leg in syns if leg.segment.seq == syns[-1].segment.seq]
    answered = _answered(same, legs, known)
    if answered is not None:
        return answered
    # If the request was polled, its SYN is the last one; otherwise the first.
    requested = observed.polled is not None and observed.polled.polls[0].state is State.SYN_RECEIVED
    return same[-1 if requested else 0].t


def _asks(leg: SegmentAtEnd) -> bool:
    """Whether a segment is a SYN without ACK."""
    return leg.segment.flags.startswith("S") and "A" not in leg.segment.flags


def _grants(leg: SegmentAtEnd) -> bool:
    """Whether a segment is a SYN-ACK that was sent, with or without ECN's flag (RFC 3168, section 6.1.1)."""
    return leg.outgoing and leg.segment.flags.startswith("SA")


def _acknowledging(syn: SegmentAtEnd) -> set[int]:
    """The acknowledgment numbers of a SYN-ACK for a SYN: without or with its data (RFC 7413, section 4.1.2)."""
    return {add(syn.segment.seq, 1), add(syn.segment.seq, 1 + syn.segment.length)}


def _answered(syns: Sequence[SegmentAtEnd], legs: Sequence[SegmentAtEnd], known: int) -> int | None:
    """The arrival of the copy of a SYN that created the request: the last one before the first SYN-ACK.

    An earlier copy may have been dropped (the accept queue was full); a later one is answered by a retransmission of
    the SYN-ACK, with the request's own sequence number.
    """
    answers = [leg for leg in legs if _grants(leg) and syns[0].t <= leg.t <= known + SLACK]
    if not answers:
        return None
    first = next(leg.t for leg in answers if leg.segment.seq == answers[-1].segment.seq)
    return max((leg.t for leg in syns if leg.t <= first), default=syns[0].t)


def openings(legs: Sequence[SegmentAtEnd]) -> Iterable[tuple[bool, int]]:
    """The beginnings of this end's connections: whether it was passive, and when."""
    own: int | None = None  # the initial sequence number of the current connection
    asked: dict[int, SegmentAtEnd] = {}  # the latest SYN by the number that acknowledges it
    for leg in legs:
        segment = leg.segment
        if "S" not in segment.flags or "R" in segment.flags:
            continue
        if not leg.outgoing:
            if _asks(leg):
                asked |= dict.fromkeys(_acknowledging(leg), leg)
        elif segment.seq != own:
            own = segment.seq
            if "A" not in segment.flags:
                yield False, leg.t
            elif segment.ack in asked:
                yield True, asked[segment.ack].t
