"""A run in a few sentences: how a connection opened, how much data it carried, how it ended.

A sentence is omitted if the record does not prove it. A connection has no sentences if its capture lost segments, or if
the states of an endpoint have a gap.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import span
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from handshake_lab.recording.history import Cause, Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.report.layout.connections import Connection, Lane, Side

# Timers whose expiry ends a connection because its peer does not answer.
_GIVEN_UP = {"retransmission_timer", "retransmission_timer_orphans", "keepalive_timer", "persist_timer"}

_UNITS = {"s": "time_s", "ms": "time_ms", "us": "time_us", "ns": "time_ns"}

# What is said of connections that both sides closed, unless one is said not to have closed.
_CLOSED = {
    "outline_both_closed",
    "outline_closed_first",
    "outline_closed_first_waited",
    "outline_closed_first_waits",
}

_RESET = {"outline_reset", "outline_reset_by_call"}

#: The maximum length of a host's name in a sentence.
_NAME = 40

# In these states a RST does not reset an open connection: it is not open yet, or both sides have closed.
_NOT_ABRUPT = {State.SYN_SENT, State.LISTEN, State.CLOSING, State.LAST_ACK, State.TIME_WAIT}


def outline(record: Record, found: Sequence[Connection]) -> list[Message]:
    """A run in a few sentences.

    Args:
        record: The run.
        found: Its connections.

    Returns:
        Up to four sentences about the only connection, one about several connections, one about UDP datagrams; none if
        nothing is certain.
    """
    exchanges = [each for each in found if _role(each.left) == "udp"]
    attempts = [each for each in found if each not in exchanges and (each.segments or _role(each.left) == "client")]
    if len(attempts) == 1:
        said = list(_of_one(record, attempts[0], _by_number(record)))
    else:
        said = [_of_many(record, attempts)] if attempts else []
    return [*said, *_of_datagrams(exchanges)]


def _role(lane: Lane) -> str:
    return lane.endpoint.role if lane.endpoint else ""


def _by_number(record: Record) -> dict[int, TransmittedSegment]:
    return {segment.number: segment for segment in record.segments}


def _of_one(record: Record, connection: Connection, segments: Mapping[int, TransmittedSegment]) -> Iterator[Message]:
    ends = [lane.endpoint for _, lane in connection.lanes if lane.endpoint is not None]
    if {connection.left.node, connection.right.node} & record.blurred:
        return
    if any(step.flaw or step.inferred for end in ends for step in end.transitions):
        return
    outline_of = _ConnectionOutline(segments, connection)
    yield from outline_of.opening()
    yield from outline_of.data()
    yield from outline_of.ending()


def _of_datagrams(exchanges: Iterable[Connection]) -> Iterator[Message]:
    datagrams = [each for exchange in exchanges for each in exchange.segments if not each.icmp and each.copies is None]
    if datagrams:
        yield sentence("outline_datagrams", count=len(datagrams), lost=sum(map(_is_lost, datagrams)))


def _of_many(record: Record, found: Sequence[Connection]) -> Message:
    """How many connections there were, between which hosts, and how many of them were closed, reset or refused."""
    segments = _by_number(record)
    codes = [{each.code for each in _of_one(record, connection, segments)} for connection in found]
    lost = sum(connection.lost for connection in found)
    counts = {
        "outline_count_closed": sum(bool(_CLOSED & each) and "outline_never_closed" not in each for each in codes),
        "outline_count_refused": sum("outline_refused" in each for each in codes),
        "outline_count_reset": sum(bool(_RESET & each) for each in codes),
        "outline_count_open": sum("outline_still_open" in each for each in codes),
        "outline_count_unclosed": sum("outline_never_closed" in each for each in codes),
        "outline_count_lost" if lost > 1 else "outline_count_lost_one": lost,
    }
    parts = [_counted(found)]
    parts += [sentence(code, count=count) for code, count in counts.items() if count]
    return sentence("outline_many", what=_listed(parts))


def _counted(found: Sequence[Connection]) -> Message:
    """The number of connections; with the hosts, if all are from one to the same other."""
    hosts = {(each.left.node, each.right.node) for each in found}
    if len(hosts) == 1:
        ((client, server),) = hosts
        if client and server and all(_role(each.left) == "client" for each in found):
            names = {"client": visible(client, _NAME), "server": visible(server, _NAME)}
            return sentence("outline_count_between", count=len(found), **names)
    return sentence("outline_count", count=len(found))


def _listed(parts: list[Message]) -> Message:
    """The parts as one, with commas between them."""
    return reduce(lambda first, other: sentence("outline_list", first=first, other=other), parts)


class _ConnectionOutline:
    """The sentences about one connection."""

    def __init__(self, segments: Mapping[int, TransmittedSegment], connection: Connection) -> None:
        self._segments = segments
        self._connection = connection
        left, right = connection.left, connection.right
        names = visible(left.node, _NAME), visible(right.node, _NAME)
        self._ends: dict[Side, Endpoint | None] = {"left": left.endpoint, "right": right.endpoint}
        if left.node and right.node and left.node != right.node:
            self._names: dict[Side, str] = {"left": names[0], "right": names[1]}
        else:
            self._names = {"left": f"{names[0]}:{left.address.port}", "right": f"{names[1]}:{right.address.port}"}
        self._nodes: dict[Side, str] = {"left": left.node, "right": right.node}

    @property
    def _both(self) -> dict[str, str]:
        return {"client": self._names["left"], "server": self._names["right"]}

    def _sent(self, side: Side, flags: str, without: str = "") -> list[TransmittedSegment]:
        """The segments that a side sent with these flags, in order of time."""
        return [
            segment
            for segment in self._connection.segments
            if self._connection.side_of(segment) == side
            and segment.sent is not None
            and not segment.icmp
            and set(flags) <= set(segment.flags)
            and not set(without) & set(segment.flags)
        ]

    def opening(self) -> Iterator[Message]:
        """How it was opened, or why it was not."""
        client, server = self._ends["left"], self._ends["right"]
        if client is None or client.role != "client":
            return
        syns = self._sent("left", "S", "A")
        opened = _first(client, State.ESTABLISHED)
        if opened is None:
            yield from self._not_opened(client, syns)
            return
        accepted = _first(server, State.ESTABLISHED) if server is not None else None
        if server is not None and accepted is None:
            yield sentence("outline_half_opened", **self._both)
            return
        if not syns:
            return
        if server is not None and server.role == "client" and self._names["left"] != self._names["right"]:
            yield sentence("outline_opened_at_once", **self._both)
            return
        yield self._opened(syns, opened.time, accepted.time if accepted else opened.time)

    def _opened(self, syns: list[TransmittedSegment], opened: int, accepted: int) -> Message:
        start = syns[0].sent or 0
        acks = [each for each in self._sent("left", "A", "SFR") if not each.length]
        lost = {
            "outline_syns": _lost(syns, opened),
            "outline_syn_acks": _lost(self._sent("right", "SA"), accepted),
            "outline_acks": _lost(acks, accepted),
        }
        if not any(lost.values()):
            return sentence("outline_opened", **self._both, time=_time(opened - start))
        if (
            lost == {"outline_syns": 1, "outline_syn_acks": 0, "outline_acks": 0}
            and len(syns) > 1
            and _is_lost(syns[0])
        ):
            return sentence("outline_syn_lost", **self._both, time=_time((syns[1].sent or 0) - start))
        listed = _listed([sentence(code, count=count) for code, count in lost.items() if count])
        return sentence("outline_opened_late", **self._both, time=_time(max(opened, accepted) - start), lost=listed)

    def _not_opened(self, client: Endpoint, syns: list[TransmittedSegment]) -> Iterator[Message]:
        if not syns or not client.transitions:
            return
        last = client.transitions[-1]
        if last.new is State.SYN_SENT:
            yield sentence("outline_connecting", **self._both)
        if last.new is not State.CLOSED or last.old is not State.SYN_SENT:
            return
        time = _time(last.time - (syns[0].sent or 0))
        segment = self._segments.get(last.cause.segment or 0)
        if segment is not None and last.cause.kind in {"segment", "reset"}:
            if segment.icmp and segment.sent is not None:
                yield sentence("outline_icmp", **self._both, node=visible(segment.sender, _NAME), name=segment.name)
            elif "R" in segment.flags and self._is_of(segment, "right"):
                yield sentence("outline_refused", **self._both, port=self._connection.right.address.port)
            elif "R" in segment.flags:
                yield sentence("outline_refused_between", **self._both)
        elif _code(last.cause) == "retransmission_timer":
            yield self._unanswered(syns, time)
        elif last.cause.kind == "call":
            yield sentence("outline_closed_early", **self._both, time=time)

    def _unanswered(self, syns: list[TransmittedSegment], time: Message) -> Message:
        lost = sum(map(_is_lost, syns))
        if len(syns) == 1:
            return sentence("outline_one_syn", **self._both, lost=lost, time=time)
        if lost == len(syns):
            return sentence("outline_syns_lost", **self._both, count=lost, time=time)
        return sentence("outline_no_answer", **self._both, count=len(syns), lost=lost, time=time)

    def data(self) -> Iterator[Message]:
        """How much each side sent, without retransmissions."""
        carrying = [each for each in self._connection.segments if each.length and not each.icmp and each.copies is None]
        octets: dict[Side, int] = {"left": 0, "right": 0}
        for segment in carrying:
            if segment.sent is not None and segment.retransmits is None:
                octets[self._connection.side_of(segment)] += segment.length
        if not any(octets.values()):
            return
        sent = [
            sentence("outline_sent", who=self._names[side], octets=f"{count:,}")
            for side, count in octets.items()
            if count
        ]
        listed = _listed(sent)
        if lost := sum(map(_is_lost, carrying)):
            yield sentence("outline_data_lost", sent=listed, lost=lost, all=len(carrying))
        else:
            yield sentence("outline_data", sent=listed)

    def ending(self) -> Iterator[Message]:
        """Which side ended it, and how; or that it did not end."""
        steps = [
            (step, side)
            for side, end in self._ends.items()
            if end is not None and _first(end, State.ESTABLISHED) is not None
            for step in end.transitions
        ]
        abrupt = sorted((pair for pair in steps if _is_abrupt(pair[0])), key=lambda pair: pair[0].time)
        if abrupt:
            yield from self._abrupt([step for step, _ in abrupt], [side for _, side in abrupt])
        else:
            yield from self._orderly()

    def _abrupt(self, steps: list[Transition], sides: list[Side]) -> Iterator[Message]:
        for step, side in zip(steps, sides, strict=True):
            segment = self._segments.get(step.cause.segment or 0)
            if segment is not None and step.cause.kind == "reset":
                other: Side = "right" if side == "left" else "left"
                if self._is_of(segment, other):
                    yield self._reset(other)
                else:
                    yield sentence("outline_reset_between", who=self._names[side])
                return
        step, side = steps[0], sides[0]
        if _code(step.cause) in _GIVEN_UP:
            yield self._gave_up(step, side)

    def _reset(self, side: Side) -> Message:
        """A side sent a RST; because of a call, if its own end has that cause."""
        end, who = self._ends[side], self._names[side]
        last = end.transitions[-1] if end is not None and end.transitions else None
        if last is not None and last.new is State.CLOSED and last.cause.kind == "call":
            return sentence("outline_reset_by_call", who=who, call=_message(last.cause))
        return sentence("outline_reset", who=who)

    def _gave_up(self, step: Transition, side: Side) -> Message:
        """A timer ended a side's connection; for how long nothing had arrived, if its capture shows that."""
        other: Side = "right" if side == "left" else "left"
        arrivals = [
            each.received
            for each in self._connection.segments
            if self._connection.side_of(each) == other and each.received is not None and each.received <= step.time
        ]
        names = {"who": self._names[side], "other": self._names[other]}
        if not arrivals or _code(step.cause) == "persist_timer":  # a window that stays closed is reported by segments
            return sentence("outline_timed_out", who=names["who"], why=_message(step.cause))
        return sentence("outline_silent", **names, time=_time(step.time - max(arrivals)), why=_message(step.cause))

    def _orderly(self) -> Iterator[Message]:
        closed = {
            side: step.time
            for side, end in self._ends.items()
            if end is not None and (step := _first(end, State.FIN_WAIT_1))
        }
        ends = [end for end in self._ends.values() if end is not None]
        closing = any(_first(end, State.CLOSING) for end in ends)
        if closing and len(closed) == 2:
            before, after = sorted(closed, key=closed.__getitem__)
            if closed[after] - closed[before] <= self._slowest():
                yield sentence("outline_both_closed")
            else:
                yield from self._closed_first(before)
        elif len(closed) == 1:
            yield from self._closed_first(*closed)
        elif not closed and ends and all(end.states and end.states[-1] is State.ESTABLISHED for end in ends):
            yield sentence("outline_still_open")

    def _slowest(self) -> int:
        """The longest time that a segment was on its way: within it, neither side can know that the other closed.

        A FIN that was lost, or that waits behind data, also leads to CLOSING, however much later the other side closes.
        """
        ways = (each.received - each.sent for each in self._connection.segments if each.sent and each.received)
        return max(ways, default=0)

    def _closed_first(self, side: Side) -> Iterator[Message]:
        closer, who = self._ends[side], self._names[side]
        assert closer is not None  # noqa: S101 - it is one of those that have FIN-WAIT-1
        waiting = _first(closer, State.TIME_WAIT)
        last = closer.transitions[-1]
        if waiting is None:
            yield sentence("outline_closed_first", who=who)
        elif last.old is State.TIME_WAIT and _code(last.cause) == "time_wait_timer":
            yield sentence("outline_closed_first_waited", who=who, time=_time(last.time - waiting.time))
        elif last is waiting:
            yield sentence("outline_closed_first_waits", who=who)
        else:
            yield sentence("outline_closed_first", who=who)
        other: Side = "right" if side == "left" else "left"
        for each in (side, other):
            if lost := sum(map(_is_lost, self._sent(each, "F"))):
                code = "outline_fin_lost" if lost == 1 else "outline_fins_lost"
                yield sentence(code, who=self._names[each], count=lost)
        end = self._ends[other]
        if end is not None and end.transitions and end.states[-1] is State.CLOSE_WAIT:
            stayed = end.ended - end.transitions[-1].time
            yield sentence("outline_never_closed", who=self._names[other], time=_time(stayed))

    def _is_of(self, segment: TransmittedSegment, side: Side) -> bool:
        """Whether this side's host sent it."""
        return segment.sent is not None and segment.sender == self._nodes[side]


def _first(end: Endpoint, state: State) -> Transition | None:
    return next((step for step in end.transitions if step.new is state), None)


def _is_lost(segment: TransmittedSegment) -> bool:
    return segment.lost or segment.damaged


def _lost(segments: list[TransmittedSegment], until: int) -> int:
    return sum(_is_lost(each) for each in segments if (each.sent or 0) <= until)


def _code(cause: Cause) -> str:
    return cause.message.code if isinstance(cause.message, Message) else ""


def _message(cause: Cause) -> Message | str:
    return cause.message


def _is_abrupt(step: Transition) -> bool:
    """Whether a transition ended the connection without both FINs."""
    if step.new is not State.CLOSED or step.old in _NOT_ABRUPT:
        return False
    return step.cause.kind == "reset" or _code(step.cause) in _GIVEN_UP


def _time(ns: int) -> Message:
    """A length of time with three significant digits."""
    number, _, unit = span(ns, "us").partition(" ")
    return sentence(_UNITS[unit], number=number)
