"""Draws the layout of a connection on lines of terminal cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.report.layout import labels
from handshake_lab.report.layout.connections import LEFT, RIGHT, Lane, Side
from handshake_lab.report.layout.happenings import Arrival, Change, Departure
from handshake_lab.report.layout.lines import Bulk, Ladder, LinkRow, NoEffectRow, Row, WaitRow
from handshake_lab.report.terminal.canvas import DIM, KIND_STYLE, STATE_STYLE, Glyphs, Span, Strip
from handshake_lab.report.text import cells, flags, link_changes, no_effect
from handshake_lab.report.text.times import MILLISECOND, clock, digits_for, span

if TYPE_CHECKING:
    from handshake_lab.recording.history import Transition
    from handshake_lab.report.text.translations import Words
    from handshake_lab.tcp.states import State

#: The length of the longest state's name, SYN-RECEIVED.
LABEL = 12
#: "+50.041 ms" and a space, on wide terminals.
DELTA = 10
#: The minimum width between the lanes for the label of a segment.
NARROWEST = 30
#: The maximum width between the lanes; a wider ladder is not easier to read.
WIDEST = 66
#: From this width on, the differences of times are shown.
WIDE = 100
#: From this width on, calls and timers have a column beside the states; on narrower terminals, their own lines.
NOTED = 116
#: The maximum length of a call that widens the right lane; a longer one is wrapped.
LONG_CALL = 20
#: The maximum length of a call or timer in the ladder; the table of states has the complete text.
LONGEST_CALL = 80
#: How many segments in flight in one direction get their own column.
CHANNELS = 4


class Columns(msgspec.Struct, frozen=True):
    """Horizontal positions, in cells from the left."""

    time: int  #: width of the time column
    delta: int  #: width of the column of differences, 0 if there is none
    left: int  #: the left lane's bar
    right: int  #: the right lane's bar
    note: int  #: width of the column for calls beside the states of each lane, 0 if there is none
    width: int

    @property
    def area(self) -> int:
        """Cells between the lanes."""
        return self.right - self.left - 1

    @property
    def middle(self) -> int:
        """The position of the middle, from the left end of the area."""
        return self.area // 2


def columns(width: int, time: int, call: int = 0) -> Columns:
    """Divide a terminal's width into columns.

    Args:
        width: The terminal's width.
        time: The width of the times.
        call: The longest word of the calls on the right, which have to fit beside that lane.
    """
    delta = DELTA + 1 if width >= WIDE else 0
    before = time + delta + 1 + LABEL + 1
    after = 1 + max(LABEL, 0 if width >= NOTED else min(call, LONG_CALL))
    rest = width - before - 2 - after
    # Both columns of calls together get less than half of the remaining width: the ladder needs most of it.
    note = rest // 5 if width >= NOTED else 0
    area = max(NARROWEST, min(rest - 2 * note, WIDEST))
    left = before + note
    right = left + 1 + area
    return Columns(time, delta, left, right, note, max(width, right + 1 + after + note))


class LadderRows:
    """Draws one connection."""

    def __init__(self, ladder: Ladder, width: int, glyphs: Glyphs, words: Words) -> None:
        self._ladder = ladder
        self._glyphs = glyphs
        self._words = words
        self._digits = digits_for([row.time for row in ladder.rows])
        widest = max((len(clock(row.time, self._digits)) for row in ladder.rows), default=0)
        calls = [self._cause(change.transition) for row in ladder.rows if (change := row.right)]
        longest = max((cells.width(word) for call in calls for word in call.split(" ")), default=0)
        self._at = columns(width, max(widest + 1, 8), longest)
        self._state: dict[Side, State | None] = {side: ladder.start.get(side) for side in (LEFT, RIGHT)}
        self._flying: dict[int, int] = {}  # segment number -> its column in the area
        self._before: int | None = None
        self._awaited = ""  # the timer that the line before names
        self.seen: set[str] = set()  #: the marks that were drawn, for the legend

    def lines(self) -> list[list[Span]]:
        """The whole ladder, beginning with its heads."""
        out = [*self._heads(), self._start()]
        for line in self._ladder.lines:
            if isinstance(line, Row):
                strips = self._with_causes(line)
            elif isinstance(line, WaitRow):
                strips = self._wait(line)
            elif isinstance(line, LinkRow):
                strips = self._link(line)
            elif isinstance(line, NoEffectRow):
                text = self._glyphs.legible(no_effect.spell(line.number, line.why, self._words, lost=line.lost))
                strips = [self._across(self._blank(), part) for part in cells.wrap(text, self._room)]
            else:
                strips = self._bulk(line)
            self._awaited = self._cause(line.until) if isinstance(line, WaitRow) and line.until else ""
            out += [strip.spans() for strip in strips]
        return out

    def _cause(self, step: Transition) -> str:
        """The call or the timer that caused a transition; "" if a segment did, which is on the ladder."""
        if step.cause.kind not in ("call", "timer"):
            return ""
        text = self._glyphs.legible(self._words.message(step.cause.message))
        return cells.fit(text, LONGEST_CALL, self._glyphs.more)

    def _with_causes(self, row: Row) -> list[Strip]:
        """A row with the calls and timers of each side on that side: beside the states, or on lines above."""
        causes = {side: self._cause(change.transition) for side in (LEFT, RIGHT) if (change := row.change(side))}
        causes = {side: text for side, text in causes.items() if text != self._awaited}
        beside = {side: text for side, text in causes.items() if cells.width(text) < self._at.note}
        above = self._above({side: text for side, text in causes.items() if side not in beside})
        strip = self._row(row)
        for side, text in beside.items():
            shift = 2 + LABEL
            x = self._at.left - shift - cells.width(text) if side == LEFT else self._at.right + shift + 1
            strip.put(x, text, DIM)
        return [*above, strip]

    def _above(self, causes: dict[Side, str]) -> list[Strip]:
        at = self._at
        rooms = {LEFT: at.left - 2, RIGHT: at.width - at.right - 2}
        wrapped = {side: cells.wrap(text, rooms[side]) for side, text in causes.items()}
        strips = []
        for place in range(max(map(len, wrapped.values()), default=0)):
            strip = self._blank()
            for side, lines in wrapped.items():
                text = lines[place] if place < len(lines) else ""
                strip.put(at.left - 1 - cells.width(text) if side == LEFT else at.right + 2, text, DIM)
            strips.append(strip)
        return strips

    def _heads(self) -> list[list[Span]]:
        left, right = (self._head(lane) for _, lane in self._ladder.connection.lanes)
        strips = []
        for place, (mine, other) in enumerate(zip(left, right, strict=True)):
            strip = Strip(self._at.width)
            style = "bold" if place == 0 else DIM
            text = cells.fit(mine, self._at.left - 1, self._glyphs.more)
            strip.put(self._at.left - 1 - cells.width(text), text, style)
            strip.put(min(self._at.right + 2, self._at.width - cells.width(other)), other, style)
            if place == 0:
                name = cells.fit(self._glyphs.legible(self._ladder.middle), 12, self._glyphs.more)
                strip.put(self._at.left + 1 + self._at.middle - cells.width(name) // 2, name, DIM)
            strips.append(strip.spans())
        return strips

    def _head(self, lane: Lane) -> tuple[str, str, str]:
        role = self._words(f"role.{lane.role}") if lane.role else self._words("role.none")
        address = self._glyphs.legible(str(lane.address)) if lane.address.ip else ""
        return (
            cells.fit(self._glyphs.legible(lane.node) or "?", 20, self._glyphs.more),
            role,
            cells.fit(address, 40, self._glyphs.more),
        )

    def _blank(self) -> Strip:
        """A line with the lanes and the segments in flight."""
        strip = Strip(self._at.width)
        strip.put(self._at.left + 1 + self._at.middle, self._glyphs.middle, DIM)
        for column in self._flying.values():
            strip.put(self._at.left + 1 + column, self._glyphs.channel, DIM)
        for side, x in ((LEFT, self._at.left), (RIGHT, self._at.right)):
            state = self._state[side]
            strip.put(x, self._glyphs.bar, STATE_STYLE[state] if state else DIM)
        return strip

    def _start(self) -> list[Span]:
        strip = self._blank()
        for side in (LEFT, RIGHT):
            state = self._state[side]
            if state:
                self._label(strip, side, state, "")
        return strip.spans()

    def _label(self, strip: Strip, side: Side, state: State, mark: str) -> None:
        style = f"bold {STATE_STYLE[state]}"
        if side == "left":
            strip.put(self._at.left - 1 - len(state), state, style)
            strip.put(self._at.left - 1, mark, "bold red")
        else:
            strip.put(self._at.right + 2, state, style)
            strip.put(self._at.right + 1, mark, "bold red")

    def _row(self, row: Row) -> Strip:
        for side in (LEFT, RIGHT):
            change = row.change(side)
            if change:
                self._state[side] = change.transition.new
        arriving = isinstance(row.piece, Arrival)
        column = self._flying.pop(row.piece.segment.number, None) if row.piece and arriving else None
        strip = self._blank()
        if isinstance(row.piece, Departure):
            self._departs(strip, row.piece)
        elif row.piece:
            self._arrives(strip, row.piece, column)
        for side in (LEFT, RIGHT):
            change = row.change(side)
            if change:
                self._label(strip, side, change.transition.new, self._mark(change))
        self._time(strip, row.time)
        return strip

    def _mark(self, change: Change) -> str:
        step = change.transition
        mark = "!" if step.objection else "?" if step.inferred else ""
        self.seen |= {mark} - {""}
        return mark

    def _time(self, strip: Strip, time: int) -> None:
        text = clock(time, self._digits)
        if self._before is None or clock(self._before, self._digits) != text:
            strip.put(self._at.time - len(text), text)
            if self._at.delta and self._before is not None and time - self._before >= MILLISECOND // 10:
                delta = f"+{span(time - self._before, self._glyphs.micro)}"
                strip.put(self._at.time + self._at.delta - cells.width(delta), delta, DIM)
        self._before = time

    def _line(self, strip: Strip, begin: int, end: int, style: str) -> None:
        """A horizontal line over the area's cells [begin, end), which crosses segments in flight."""
        for x in range(begin, end):
            crosses = strip.at(self._at.left + 1 + x) == self._glyphs.channel
            strip.put(self._at.left + 1 + x, self._glyphs.crossing if crosses else self._glyphs.line, style)

    def _channel(self, side: Side) -> int | None:
        """A free column in which a segment from a side can wait for its arrival."""
        for slot in range(CHANNELS):
            column = self._at.area - 5 - 2 * slot if side == "left" else 4 + 2 * slot
            if column not in self._flying.values():
                return column
        return None

    def _departs(self, strip: Strip, piece: Departure) -> None:
        segment, glyphs, area = piece.segment, self._glyphs, self._at.area
        style = KIND_STYLE[flags.kind(segment.flags)]
        forms = labels.forms(segment, glyphs.again)
        if segment.retransmits is not None:
            self.seen.add("again")
        if segment.received is None:
            self._ends_midway(strip, piece, forms, style)
            return
        column = self._channel(piece.side)
        if piece.side == "left":
            end = area - 5 if column is None else column
            self._line(strip, 0, end, style)
            strip.put(self._at.left + 1 + end, glyphs.to_right if column is None else glyphs.leaves_right, style)
            self._write(strip, 2, labels.fitting(forms, end - 5), style)
        else:
            begin = 4 if column is None else column
            self._line(strip, begin + 1, area, style)
            strip.put(self._at.left + 1 + begin, glyphs.to_left if column is None else glyphs.leaves_left, style)
            text = labels.fitting(forms, area - begin - 6)
            self._write(strip, area - 4 - cells.width(text), text, style)
        if column is not None:
            self._flying[segment.number] = column

    def _write(self, strip: Strip, x: int, text: str, style: str) -> None:
        if text:
            strip.put(self._at.left + 1 + x, f" {text} ", style)

    def _ends_midway(self, strip: Strip, piece: Departure, forms: list[str], style: str) -> None:
        """A line to the middle that ends in a mark; text that does not fit before the mark comes after it."""
        middle, glyphs = self._at.middle, self._glyphs
        lost = piece.segment.lost
        self.seen.add("lost" if lost else "under_way")
        text = labels.fitting(forms, middle - 5)
        behind = "" if text == forms[0] else labels.numbers(piece.segment)
        if behind and text == forms[1]:
            text = labels.fitting(forms[2:], middle - 5)
        behind = behind if cells.width(behind) <= self._at.area - middle - 4 else ""
        if not text:  # numbers of four digits on narrow terminals
            text, behind = f"#{piece.segment.number}", labels.original(piece.segment, glyphs.again)
        if piece.side == "left":
            self._line(strip, 0, middle, style)
            self._write(strip, 2, text, style)
            strip.put(self._at.left + 1 + middle + 2, behind, style)
        else:
            self._line(strip, middle + 1, self._at.area, style)
            self._write(strip, self._at.area - 4 - cells.width(text), text, style)
            strip.put(self._at.left + 1 + middle - 1 - cells.width(behind), behind, style)
        strip.put(self._at.left + 1 + middle, glyphs.lost if lost else glyphs.under_way, "bold red" if lost else "bold")

    def _arrives(self, strip: Strip, piece: Arrival, column: int | None) -> None:
        glyphs, area, left = self._glyphs, self._at.area, self._at.left + 1
        style = KIND_STYLE[flags.kind(piece.segment.flags)]
        made = piece.segment.sent is None
        number = f"#{piece.segment.number}"
        begin = self._at.middle if made else column
        ignored = piece.segment.number in self._ladder.connection.ignored
        self.seen |= {"ignored"} if ignored else set()
        if piece.side == "right":
            start = area - 5 if begin is None else begin
            self._line(strip, start, area - 1, style)
            strip.put(left + area - 1, glyphs.ignored_right if ignored else glyphs.to_right, style)
            turn = glyphs.enters_right
        else:
            start = 4 if begin is None else begin
            self._line(strip, 1, start + 1, style)
            strip.put(left, glyphs.ignored_left if ignored else glyphs.to_left, style)
            turn = glyphs.enters_left
        if made:
            self.seen.add("made")
            forms = labels.forms(piece.segment, glyphs.again)
            text = labels.fitting(forms, self._at.middle - 4)
            x = self._at.middle - 1 - cells.width(text) if piece.side == "right" else self._at.middle + 2
            strip.put(left + x, text, style)
            strip.put(left + self._at.middle, glyphs.made, "bold red")
        elif column is not None:
            strip.put(left + column, turn, style)
        else:
            x = start - 1 - len(number) if piece.side == "right" else start + 2
            strip.put(left + x, number, style)

    def _wait(self, wait: WaitRow) -> list[Strip]:
        length = span(wait.length, self._glyphs.micro)
        if wait.open:
            text = self._words("ladder.wait_open", length=length)
        elif wait.until:
            timer = self._glyphs.legible(self._words.message(wait.until.cause.message))
            text = self._words("ladder.wait_timer", length=length, timer=timer)
        elif wait.again:
            text = self._words("ladder.wait_again", length=length, number=wait.again.retransmits)
        else:
            text = self._words("ladder.wait", length=length)
        return [self._across(self._blank(), line) for line in cells.wrap(text, self._room)]

    def _link(self, row: LinkRow) -> list[Strip]:
        text = self._glyphs.legible(link_changes.spell(row.change, self._words))
        strips = [self._across(self._blank(), line) for line in cells.wrap(text, self._room)]
        self._time(strips[0], row.time)
        return strips

    def _bulk(self, bulk: Bulk) -> list[Strip]:
        """Folded data: on one line if it fits, otherwise each direction on a separate line."""
        room = self._room
        forms = [self._counted(bulk, key) for key in ("ladder.bulk", "ladder.bulk_short")]
        parts = next((["  ".join(form)] for form in forms if cells.width("  ".join(form)) <= room), None)
        if parts is None:
            parts = next((form for form in forms if max(map(cells.width, form)) <= room), forms[-1])
        lines = []
        for place, part in enumerate(parts):
            strip = self._blank()
            if place == 0:
                self._time(strip, bulk.time)
            lines.append(self._across(strip, part))
        return lines

    def _counted(self, bulk: Bulk, key: str) -> list[str]:
        parts = []
        for side, arrow in ((LEFT, self._glyphs.to_right), (RIGHT, self._glyphs.to_left)):
            if bulk.segments[side]:
                shown = self._words(key, segments=f"{bulk.segments[side]:,}", octets=f"{bulk.octets[side]:,}")
                parts.append(f"{arrow} {shown}")
        return parts

    @property
    def _room(self) -> int:
        """The number of cells for text between the lanes, with a mark on both sides."""
        return self._at.area - 2 - 2 * cells.width(self._glyphs.fold) - 2

    def _across(self, strip: Strip, text: str) -> Strip:
        """Write text between the lanes, over everything drawn there."""
        shown = cells.fit(f"{self._glyphs.fold} {text} {self._glyphs.fold}", self._at.area - 2, self._glyphs.more)
        x = self._at.left + 1 + (self._at.area - cells.width(shown)) // 2
        strip.put(x - 1, f" {shown} ", "italic " + DIM)
        return strip
