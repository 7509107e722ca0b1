"""A connection as the lines of a ladder: the common layout of terminal, SVG and HTML."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.history import Transition, TransmittedSegment
from handshake_lab.recording.messages import Message
from handshake_lab.recording.observations import LinkChange
from handshake_lab.report.layout.connections import Connection, Side
from handshake_lab.report.layout.happenings import TOGETHER, Arrival, Change, Departure, Happening, happenings
from handshake_lab.report.layout.hops import Hop, Translation, routers_between
from handshake_lab.report.text import flags
from handshake_lab.report.text.times import MILLISECOND
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A longer sequence of ordinary data segments is folded, except for its first and last two segments.
DATA_SHOWN = 8

#: With more segments than this, sequences of more than two are folded completely: between many lost segments, the
#: ordinary ones would need most of the lines.
SEGMENTS_SHOWN = 120


class Row(msgspec.Struct):
    """One line with events of one time: at most one change for each side, and one departure or arrival."""

    time: int
    left: Change | None = None
    right: Change | None = None
    piece: Departure | Arrival | None = None

    def change(self, side: Side) -> Change | None:
        """The state entered on a side."""
        return self.left if side == "left" else self.right


class WaitRow(msgspec.Struct, frozen=True):
    """A wait of ``length`` nanoseconds without events.

    ``until`` is the timer that ended it, ``again`` the retransmission that ended it; ``open`` is set if
    the recording ended first.
    """

    length: int
    until: Transition | None = None
    again: TransmittedSegment | None = None
    open: bool = False


class Bulk(msgspec.Struct, frozen=True):
    """Folded data: the number of segments and bytes from each side, and their time."""

    time: int
    length: int
    segments: dict[Side, int]
    octets: dict[Side, int]


class LinkRow(msgspec.Struct, frozen=True):
    """A script changed a link."""

    change: LinkChange

    @property
    def time(self) -> int:
        """When, in nanoseconds."""
        return self.change.t


class NoEffectRow(msgspec.Struct, frozen=True):
    """A segment that arrived on the line before had no effect, or one that left there was lost: the reason."""

    time: int
    number: int
    why: Message
    lost: bool = False


Line = Row | WaitRow | Bulk | LinkRow | NoEffectRow


class Ladder(msgspec.Struct, frozen=True):
    """The layout of a connection.

    ``start`` contains the first state of each side that has an endpoint; ``middle`` is the name of the
    node between them. ``routers`` are those whose captures show segments of the connection, from left to right, with
    what each makes of addresses from the left; ``ways`` are the hops of each segment, by its number.
    """

    connection: Connection
    lines: tuple[Line, ...]
    start: dict[Side, State]
    middle: str
    routers: dict[str, Translation | None] = {}
    ways: dict[int, tuple[Hop, ...]] = {}

    @property
    def rows(self) -> list[Row]:
        """The lines with events."""
        return [line for line in self.lines if isinstance(line, Row)]


def ladder(
    connection: Connection, middle: str = "", *, fold: bool = True, ways: Mapping[int, tuple[Hop, ...]] = {}
) -> Ladder:
    """Compute the layout of a connection.

    Args:
        connection: The connection.
        middle: The name of the node between its sides.
        fold: Whether to fold long sequences of ordinary data into one line each.
        ways: The routers that each segment reached, by its number (`handshake_lab.report.layout.hops.hops`).
    """
    start: dict[Side, State] = {}
    for side, lane in connection.lanes:
        if lane.endpoint and lane.endpoint.transitions:
            start[side] = lane.endpoint.transitions[0].old
    events = happenings(connection)
    rows = _rows(_folded(connection, events) if fold else events)
    lines = _with_waits(_with_link_changes(_with_reasons(rows, connection), connection), connection)
    own = {each.number: ways[each.number] for each in connection.segments if each.number in ways}
    return Ladder(connection, tuple(lines), start, middle, routers_between(connection, own), own)


def _folded(connection: Connection, events: list[Happening]) -> list[Happening | Bulk]:
    """Replace long sequences of ordinary data by one line each.

    Lost, damaged, retransmitted and crafted segments are never folded. Neither are those that were retransmitted, so
    that the number after the mark of a retransmission is on the ladder.
    """
    originals = {segment.retransmits for segment in connection.segments}
    causes = {event.transition.cause.segment for event in events if isinstance(event, Change)}
    longest, beside = (2, 0) if len(connection.segments) > SEGMENTS_SHOWN else (DATA_SHOWN, 2)
    changed = sorted(event.time for event in events if isinstance(event, Change))
    runs: list[list[TransmittedSegment]] = [[]]
    last = None
    for segment in connection.segments:
        when = segment.sent if segment.sent is not None else segment.received
        moments = bisect_right(changed, when or 0)
        ordinary = (
            flags.kind(segment.flags) == "data"
            and segment.number not in causes
            and segment.number not in connection.ignored
            and segment.number not in originals
            and not (segment.received is None or segment.damaged)
            and segment.retransmits is None
            and segment.sent is not None
        )
        if not ordinary or moments != last:
            runs.append([])
        last = moments
        if ordinary:
            runs[-1].append(segment)
        else:
            runs.append([])
    bulks: dict[int, Bulk] = {}
    hidden: set[int] = set()
    for run in runs:
        if len(run) > longest:
            inner = run[beside : len(run) - beside]
            hidden |= {segment.number for segment in inner}
            bulks[inner[0].number] = _bulk(connection, inner)
    kept: list[Happening | Bulk] = []
    for event in events:
        number = None if isinstance(event, Change) else event.segment.number
        if number not in hidden:
            kept.append(event)
        elif number in bulks:
            kept.append(bulks.pop(number))
    return kept


def _bulk(connection: Connection, folded: Sequence[TransmittedSegment]) -> Bulk:
    segments: dict[Side, int] = {"left": 0, "right": 0}
    octets: dict[Side, int] = {"left": 0, "right": 0}
    times = []
    for segment in folded:
        side = connection.side_of(segment)
        segments[side] += 1
        octets[side] += segment.length
        times += [time for time in (segment.sent, segment.received) if time is not None]
    return Bulk(
        time=min(times),
        length=max(times) - min(times),
        segments=segments,
        octets=octets,
    )


def _rows(events: Sequence[Happening | Bulk]) -> list[Row | Bulk]:
    lines: list[Row | Bulk] = []
    for event in events:
        row = lines[-1] if lines and isinstance(lines[-1], Row) else None
        if isinstance(event, Bulk):
            lines.append(event)
        elif isinstance(event, Change):
            if row is None or not _joins(row, event):
                row = Row(event.time)
                lines.append(row)
            if event.side == "left":
                row.left = event
            else:
                row.right = event
        elif isinstance(event, Departure) and row is not None and _sends(row, event):
            row.piece = event
        else:
            lines.append(Row(event.time, piece=event))
    return lines


def _joins(row: Row, change: Change) -> bool:
    """Whether a change can be drawn on the previous line."""
    if row.change(change.side) is not None or change.time - row.time > TOGETHER:
        return False
    if isinstance(row.piece, Arrival) and row.piece.side == change.side:
        return change.transition.cause.segment in (None, row.piece.segment.number)
    # Changes of both hosts share a line if they are simultaneous, or the same change at nearly the same
    # time, but not with a segment of another time.
    other = row.right if change.side == "left" else row.left
    alike = other is not None and other.transition.new is change.transition.new
    return row.piece is None and (alike or change.time == row.time)


def _sends(row: Row, departure: Departure) -> bool:
    """Whether a departing segment belongs on the line of the change that sends it."""
    change = row.change(departure.side)
    return (
        row.piece is None
        and change is not None
        and departure.time - row.time <= TOGETHER
        and change.transition.new is not State.LISTEN
    )


def _with_reasons(lines: list[Row | Bulk], connection: Connection) -> list[Row | Bulk | NoEffectRow]:
    """Insert why segments had no effect, after their arrivals, and why they were lost, after their departures."""
    out: list[Row | Bulk | NoEffectRow] = []
    for line in lines:
        out.append(line)
        if isinstance(line, Row) and isinstance(line.piece, Arrival):
            number = line.piece.segment.number
            if number in connection.ignored:
                out.append(NoEffectRow(line.time, number, connection.ignored[number]))
        elif isinstance(line, Row) and line.piece and line.piece.segment.number in connection.lost_because:
            number = line.piece.segment.number
            out.append(NoEffectRow(line.time, number, connection.lost_because[number], lost=True))
    return out


def _with_link_changes(
    lines: list[Row | Bulk | NoEffectRow], connection: Connection
) -> list[Row | Bulk | LinkRow | NoEffectRow]:
    """Insert the changes of links: before the events of the same time, which they may have caused."""
    out: list[Row | Bulk | LinkRow | NoEffectRow] = list(lines)
    for change in reversed(connection.link_changes):
        out.insert(bisect_left([line.time for line in lines], change.t), LinkRow(change))
    return out


def _with_waits(lines: list[Row | Bulk | LinkRow | NoEffectRow], connection: Connection) -> list[Line]:
    threshold = _long(connection)
    out: list[Line] = []
    now: int | None = None
    for line in lines:
        if now is not None and line.time - now >= threshold:
            out.append(_wait(line, line.time - now))
        out.append(line)
        now = line.time + (line.length if isinstance(line, Bulk) else 0)
    for _, lane in connection.lanes:
        endpoint = lane.endpoint
        if endpoint and now is not None and endpoint.transitions and endpoint.ended - now >= threshold:
            if endpoint.transitions[-1].new in (State.CLOSED, State.LISTEN):
                continue
            out.append(WaitRow(endpoint.ended - now, open=True))
            break
    return out


def _long(connection: Connection) -> int:
    """The length from which a wait is drawn as such: three times the longest flight, and at least 200 ms."""
    flights = [
        segment.received - segment.sent
        for segment in connection.segments
        if segment.sent is not None and segment.received is not None
    ]
    return max(200 * MILLISECOND, 3 * max(flights, default=0))


def _wait(line: Row | Bulk | LinkRow | NoEffectRow, length: int) -> WaitRow:
    if isinstance(line, Row):
        for change in (line.left, line.right):
            if change and change.transition.cause.kind == "timer":
                return WaitRow(length, until=change.transition)
        if isinstance(line.piece, Departure) and line.piece.segment.retransmits is not None:
            return WaitRow(length, again=line.piece.segment)
    return WaitRow(length)
