"""Why segments had no effect, by the counters of the kernel that they increased.

The recorder reads the counters after every segment that may be counted. If the growth of a counter between two readings
is equal to the number of segments that may have increased it, it counted these segments; otherwise this is unknown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import sentence
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment
    from handshake_lab.recording.messages import Message
    from handshake_lab.tcp.address import Address

#: The states of a request, and of a port that has only a listener.
_EMBRYONIC = (None, State.LISTEN, State.SYN_RECEIVED, State.CLOSED)


class _Arrival(NamedTuple):
    """A segment that arrived, with the state of the endpoint that it reached."""

    segment: TransmittedSegment
    state: State | None

    @property
    def asks(self) -> bool:
        """Whether it is a SYN without ACK."""
        return "S" in self.segment.flags and "A" not in self.segment.flags

    @property
    def opens(self) -> bool:
        """Whether it asks for a connection, or completes the request for one."""
        completes = "A" in self.segment.flags and not set("SR") & set(self.segment.flags)
        return self.asks or (completes and self.state in _EMBRYONIC)


class _Kind(NamedTuple):
    """A counter, the segments that it may count, and the reason that it shows."""

    counter: str
    fits: Callable[[_Arrival], bool]
    message: Message


#: net/ipv4/tcp_input.c, net/ipv4/tcp_minisocks.c, net/ipv4/tcp_ipv4.c, net/ipv4/syncookies.c.
_KINDS = (
    _Kind("SyncookiesSent", lambda each: each.asks, sentence("cookie_sent")),
    _Kind("SyncookiesFailed", lambda each: each.opens and not each.asks, sentence("cookie_failed")),
    _Kind("TCPReqQFullDrop", lambda each: each.asks, sentence("ignored_request_queue")),
    _Kind("ListenOverflows", lambda each: each.opens, sentence("ignored_accept_queue")),
    _Kind("ListenDrops", lambda each: each.opens, sentence("ignored_listener")),
    _Kind("TCPDeferAcceptDrop", lambda each: each.opens and not each.asks, sentence("ignored_deferred")),
    _Kind("TCPChallengeACK", lambda each: _is_challenged(each.segment), sentence("challenged")),
    _Kind("TCPACKSkippedChallenge", lambda each: _is_challenged(each.segment), sentence("challenge_limited")),
    _Kind("TCPACKSkippedSynRecv", lambda each: each.state is State.SYN_RECEIVED, sentence("answer_limited")),
    _Kind("PAWSEstab", lambda each: "A" in each.segment.flags, sentence("ignored_paws")),
    _Kind("OutOfWindowIcmps", lambda each: bool(each.segment.icmp), sentence("ignored_icmp")),
    _Kind("LockDroppedIcmps", lambda each: bool(each.segment.icmp), sentence("ignored_icmp_locked")),
)
#: Counters that include others: a segment dropped because of a full queue is also counted as dropped by the listener.
_INCLUDED = {"ListenDrops": ("ListenOverflows", "TCPReqQFullDrop")}


def counted(record: Record) -> dict[int, Message]:
    """The reasons that the kernel's counters show for single segments, by their numbers."""
    arrivals = _arrivals(record) if record.counter_growth else {}
    causes = {
        step.cause.segment
        for end in record.endpoints
        for step in end.transitions
        if step.cause.kind in ("segment", "reset")
    }
    found: dict[int, Message] = {}
    for growth in record.counter_growth:
        came = arrivals.get(growth.node, [])
        first = bisect_left(came, growth.since, key=_time)
        last = bisect_right(came, growth.t, key=_time)
        here = [each for each in came[first:last] if each.segment.number not in causes]
        for kind in _KINDS:
            count = growth.grown.get(kind.counter, 0)
            count -= sum(growth.grown.get(name, 0) for name in _INCLUDED.get(kind.counter, ()))
            fitting = [each.segment.number for each in here if kind.fits(each) and each.segment.number not in found]
            if count and len(fitting) == count:
                found.update(dict.fromkeys(fitting, kind.message))
    return found


def uncounted(record: Record) -> dict[str, dict[str, int]]:
    """The growth of each node's counters at times that are not known."""
    timed: dict[tuple[str, str], int] = defaultdict(int)
    for growth in record.counter_growth:
        for name, count in growth.grown.items():
            timed[growth.node, name] += count
    return {
        node: {name: count - timed[node, name] for name, count in grown.items()}
        for node, grown in record.counters.items()
    }


def _is_challenged(segment: TransmittedSegment) -> bool:
    """Whether RFC 5961 requires a challenge ACK for it, if it is not exact."""
    refused = segment.ignored is not None and segment.ignored.code == "ignored_ack"
    return bool(set("RS") & set(segment.flags)) or refused


def _time(arrival: _Arrival) -> int:
    return arrival.segment.received or 0


def _arrivals(record: Record) -> Mapping[str, list[_Arrival]]:
    """The segments that each node's TCP received, in order of time."""
    ends: dict[tuple[str, Address, Address], list[Endpoint]] = defaultdict(list)
    for end in record.endpoints:
        ends[end.node, end.remote, end.local].append(end)
    arrivals: dict[str, list[_Arrival]] = defaultdict(list)
    for segment in record.segments:
        if segment.received is not None and not segment.damaged:
            states = _states(ends[segment.receiver, *segment.arriving], segment.received)
            arrivals[segment.receiver].append(_Arrival(segment, next(states, None)))
    for came in arrivals.values():
        came.sort(key=_time)
    return arrivals


def _states(ends: list[Endpoint], at: int) -> Iterator[State]:
    """The states of the sockets with certain addresses just before a time, the latest first."""
    for end in reversed(ends):
        before = [step for step in end.transitions if step.time < at]
        if before:
            yield before[-1].new
