"""The events of a connection, ordered so that causes come before effects."""

from __future__ import annotations

from itertools import accumulate, groupby, pairwise

import msgspec

from handshake_lab.recording.causal_order import arrange
from handshake_lab.recording.history import Transition, TransmittedSegment
from handshake_lab.report.layout.connections import Connection, Side
from handshake_lab.report.text.times import MICROSECOND
from handshake_lab.tcp.states import State

#: Events within this many nanoseconds of their cause are drawn on the line of their cause. In real
#: time, a SYN is sent some tens of microseconds after SYN-SENT is entered.
TOGETHER = 300 * MICROSECOND


class Departure(msgspec.Struct, frozen=True):
    """A segment leaves its sender."""

    time: int
    side: Side
    segment: TransmittedSegment


class Arrival(msgspec.Struct, frozen=True):
    """A segment arrives at ``side``. If ``segment.sent`` is None, it was crafted in the middle."""

    time: int
    side: Side
    segment: TransmittedSegment


class Change(msgspec.Struct, frozen=True):
    """An endpoint enters a state; ``place`` counts its transitions from 0."""

    time: int
    side: Side
    transition: Transition
    place: int


Happening = Departure | Arrival | Change

_OTHER: dict[Side, Side] = {"left": "right", "right": "left"}
_SENDS = {State.SYN_SENT: "S", State.FIN_WAIT_1: "F", State.LAST_ACK: "F"}


def happenings(connection: Connection) -> list[Happening]:
    """All events of a connection, in order."""
    events: list[Happening] = []
    for segment in connection.segments:
        side = connection.side_of(segment)
        if segment.sent is not None:
            events.append(Departure(segment.sent, side, segment))
        if segment.received is not None:
            events.append(Arrival(segment.received, _OTHER[side], segment))
    arrived = {(event.segment.number, event.side): event.time for event in events if isinstance(event, Arrival)}
    for side, lane in connection.lanes:
        if lane.endpoint:
            # If a change is moved to a later time, with its segment, the changes after it are moved as well.
            times = accumulate((_drawn_at(step, side, arrived) for step in lane.endpoint.transitions), max)
            steps = enumerate(zip(times, lane.endpoint.transitions, strict=True))
            events.extend(Change(time, side, step, place) for place, (time, step) in steps)
    events.sort(key=lambda event: event.time)
    ordered: list[Happening] = []
    for _, group in groupby(events, key=lambda event: event.time):
        ordered.extend(_causal(list(group)))
    return ordered


def _drawn_at(step: Transition, side: Side, arrived: dict[tuple[int, Side], int]) -> int:
    """The time at which to draw a change: that of its segment, whose timestamp may be slightly later."""
    cause = step.cause
    if cause.kind in ("segment", "reset") and cause.segment is not None:
        when = arrived.get((cause.segment, side))
        if when is not None and step.time < when <= step.time + TOGETHER:
            return when
    return step.time


def _causal(events: list[Happening]) -> list[Happening]:
    """Order simultaneous events by causality, then by segment number."""
    if len(events) == 1:
        return events
    return [events[place] for place in arrange([_rank(event) for event in events], _constraints(events))]


def _constraints(events: list[Happening]) -> list[tuple[int, int]]:
    departures: dict[int, int] = {}
    arrivals: dict[int, int] = {}
    sides: dict[Side, list[int]] = {"left": [], "right": []}
    for place, event in enumerate(events):
        if isinstance(event, Departure):
            departures[event.segment.number] = place
        elif isinstance(event, Arrival):
            arrivals[event.segment.number] = place
        sides[event.side].append(place)
    pairs = [(departures[number], place) for number, place in arrivals.items() if number in departures]
    for places in sides.values():
        # On one host: segments by number (the answer to an arrival has a later number) ...
        segments = [place for place in places if not isinstance(events[place], Change)]
        pairs += pairwise(sorted(segments, key=lambda place: _rank(events[place])))
        changes = [(place, event) for place in places if isinstance(event := events[place], Change)]
        # ... changes in the order of the history ...
        pairs += pairwise(place for place, _ in sorted(changes, key=lambda each: each[1].place))
        for place, change in changes:
            # ... a change after the segment that caused it, and before the segment that it sends.
            cause = change.transition.cause
            if cause.kind in ("segment", "reset") and cause.segment in arrivals:
                pairs.append((arrivals[cause.segment], place))
            flag = _SENDS.get(change.transition.new)
            sent = [each for each in segments if flag and _departs_with(events[each], flag)]
            if _begins_to_listen(change):
                sent = segments  # without a listener the host would have answered with RST
            if sent:
                pairs.append((place, min(sent, key=lambda each: _rank(events[each]))))
    return pairs


def _begins_to_listen(change: Change) -> bool:
    """Whether the change is listen(), and not the return to LISTEN of a request that was dropped."""
    return (change.transition.old, change.transition.new) == (State.CLOSED, State.LISTEN)


def _departs_with(event: Happening, flag: str) -> bool:
    return isinstance(event, Departure) and flag in event.segment.flags


def _rank(event: Happening) -> tuple[int, int]:
    if isinstance(event, Change):
        return (-1 if _begins_to_listen(event) else event.transition.cause.segment or 0, 1)
    return (event.segment.number, 0)
