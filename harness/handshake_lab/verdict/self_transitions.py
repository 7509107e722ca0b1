"""Self-transitions: edges of the diagram on which a segment leaves the connection in its state.

A history contains only changes of state. This module finds the events that do not change a state: a RST
that is answered by a challenge ACK, for example, or a SYN that is dropped because the accept queue is full.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.observations import Counters, Step, Witness
from handshake_lab.tcp.diagram.edge import SHORT
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment
    from handshake_lab.recording.observations import Address, Observation

#: Nanoseconds within which a kernel answers a received segment.
_AT_ONCE = 1_000_000
#: The same in real time, when the answer may wait for a processor: less than the 40 ms after which a delayed ACK
#: is sent (TCP_DELACK_MIN, include/net/tcp.h).
_AT_ONCE_IN_REAL_TIME = 30_000_000
#: Nanoseconds after which a FIN-WAIT-2 with a timer has ended: 60 s and the largest delay of a timer.
_FIN_TIMEOUT = 67_600_000_000
_OVERFLOWS = ("ListenOverflows", "TCPReqQFullDrop", "ListenDrops")
_SYNCHRONIZED = frozenset(
    {State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK}
)


class SelfTransition(msgspec.Struct, frozen=True):
    """An event at an endpoint that did not change its state.

    ``edge`` is its id in `handshake_lab.tcp.diagram.lookup`; ``segment`` the `TransmittedSegment.number` of the
    segment that arrived, None for an edge without a segment.
    """

    edge: str
    node: str
    time: int
    witnesses: tuple[Witness, ...]
    segment: int | None = None


def self_transitions(record: Record, observations: Iterable[Observation]) -> list[SelfTransition]:
    """Find the self-transitions of a run.

    Args:
        record: The run.
        observations: Its observations: the counters show why an ACK was dropped, the recorded calls whether a
        program still held a socket.
    """
    return sorted(_Search(record, observations).found(), key=lambda self_transition: self_transition.time)


class _Search:
    def __init__(self, record: Record, observations: Iterable[Observation]) -> None:
        self._record = record
        self._steps: list[Step] = []
        self._grown: dict[str, dict[str, int]] = {}
        for observation in observations:
            if isinstance(observation, Step):
                self._steps.append(observation)
            elif isinstance(observation, Counters):
                self._grown[observation.node] = observation.grown
        self._pause = _AT_ONCE_IN_REAL_TIME if record.header.kernel.computing_takes_time else _AT_ONCE
        self._ends: dict[tuple[str, tuple[Address, Address]], list[Endpoint]] = {}
        for endpoint in record.endpoints:
            self._ends.setdefault((endpoint.node, (endpoint.remote, endpoint.local)), []).append(endpoint)
        self._sent: dict[tuple[Address, Address], list[tuple[int, str]]] = {}  # when, and the flags
        self._received: dict[tuple[Address, Address], list[int]] = {}
        for segment in record.segments:
            if segment.sent is not None:
                self._sent.setdefault((segment.src, segment.dst), []).append((segment.sent, segment.flags))
            if segment.received is not None:
                self._received.setdefault(segment.arriving, []).append(segment.received)
        for departures in self._sent.values():
            departures.sort()
        for arrivals in self._received.values():
            arrivals.sort()

    def found(self) -> Iterator[SelfTransition]:
        for endpoint in self._record.endpoints:
            yield from self._held(endpoint)
        for segment in self._record.segments:
            if segment.received is None or segment.damaged:
                continue
            for endpoint in self._ends.get((segment.receiver, segment.arriving), ()):
                yield from self._arrived(endpoint, segment, segment.received)
            yield from self._turned_away(segment, segment.received)

    def _arrived(self, endpoint: Endpoint, segment: TransmittedSegment, at: int) -> Iterator[SelfTransition]:
        if any(step.cause.segment == segment.number for step in endpoint.transitions):
            return
        state = _state_at(endpoint, at)
        if state is None or state is not _state_at(endpoint, self._answered_until(segment, at)):
            return
        edge = self._edge(state, segment, self._answers(segment, at), endpoint.node)
        if edge:
            yield SelfTransition(edge, endpoint.node, at, (Witness.CAPTURE,), segment.number)

    def _edge(self, state: State, segment: TransmittedSegment, answers: Sequence[str], node: str) -> str:
        if state is State.SYN_SENT:
            return _in_syn_sent(segment, answers)
        if state is State.SYN_RECEIVED:
            return self._in_syn_received(segment, answers, node)
        if "A" not in answers:
            return ""
        if state is State.TIME_WAIT:
            return "33" if "F" in segment.flags else ""
        challenged = state in _SYNCHRONIZED and ("R" in segment.flags or segment.flags == "S")
        return f"26a.{SHORT[state]}" if challenged else ""

    def _in_syn_received(self, segment: TransmittedSegment, answers: Sequence[str], node: str) -> str:
        if "R" in segment.flags:
            return "24" if "A" in answers else ""
        completes = "S" not in segment.flags and "A" in segment.flags and segment.rel_ack == 1
        if not completes or answers:
            return ""
        if self._overflowed(node):
            return "40a"
        return "" if segment.length else "41a"

    def _answers(self, segment: TransmittedSegment, at: int) -> list[str]:
        """The flags of the receiver's immediate answers."""
        source, target = segment.arriving
        back = self._sent.get((target, source), [])
        first, last = bisect_left(back, (at, "")), bisect_left(back, (self._answered_until(segment, at) + 1, ""))
        return [flags for _, flags in back[first:last]]

    def _answered_until(self, segment: TransmittedSegment, at: int) -> int:
        """Until when a segment counts as an answer to it: the next arrival has its own answers."""
        arrivals = self._received[segment.arriving]
        place = bisect_right(arrivals, at + _AT_ONCE)
        return min([at + self._pause, *arrivals[place : place + 1]])

    def _turned_away(self, segment: TransmittedSegment, at: int) -> Iterator[SelfTransition]:
        """A SYN that a listener without space dropped, without an answer."""
        if segment.flags != "S" or not self._overflowed(segment.receiver) or self._answers(segment, at):
            return
        listened = any(
            State.LISTEN in endpoint.states
            and endpoint.node == segment.receiver
            and endpoint.local.port == segment.arriving[1].port
            for endpoint in self._record.endpoints
        )
        if listened:
            yield SelfTransition("40b", segment.receiver, at, (Witness.CAPTURE,), segment.number)

    def _held(self, endpoint: Endpoint) -> Iterator[SelfTransition]:
        """FIN-WAIT-2 of a socket that a program holds, which has no timer."""
        for step, after in zip(endpoint.transitions, [*endpoint.transitions[1:], None], strict=True):
            until = after.time if after else endpoint.ended
            if step.new is not State.FIN_WAIT_2 or until - step.time <= _FIN_TIMEOUT:
                continue
            closed = any(
                call.cookie == endpoint.cookie and call.call == "close" and call.t < step.time + _FIN_TIMEOUT
                for call in self._steps
            )
            if not closed:
                yield SelfTransition("32", endpoint.node, step.time, (Witness.DIAG,))

    def _overflowed(self, node: str) -> bool:
        grown = self._grown.get(node, {})
        return any(grown.get(name, 0) for name in _OVERFLOWS)


def _in_syn_sent(segment: TransmittedSegment, answers: Sequence[str]) -> str:
    if "R" in segment.flags:
        return "" if "A" in segment.flags else "25a"
    return "25b" if "A" in segment.flags and "R" in answers else ""


def _state_at(endpoint: Endpoint, at: int) -> State | None:
    """The state of an endpoint at a time; None before the first."""
    if not endpoint.transitions or at < endpoint.transitions[0].time:
        return None
    return next(step.new for step in reversed(endpoint.transitions) if step.time <= at)
