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
#: From this width on, causes are shown.
NOTED = 116
#: How many segments in flight in one direction get their own column.
CHANNELS = 4


class Columns(msgspec.Struct, frozen=True):
    """Horizontal positions, in cells from the left."""

    time: int  #: width of the time column
    delta: int  #: width of the column of differences, 0 if there is none
    left: int  #: the left lane's bar
    right: int  #: the right lane's bar
    note: int  #: where notes begin, 0 if there are none
    width: int

    @property
    def area(self) -> int:
        """Cells between the lanes."""
        return self.right - self.left - 1

    @property
    def middle(self) -> int:
        """The position of the middle, from the left end of the area."""
        return self.area // 2


def columns(width: int, time: int) -> Columns:
    """Divide a terminal's width into columns."""
    delta = DELTA + 1 if width >= WIDE else 0
    left = time + delta + 1 + LABEL + 1
    after = 1 + LABEL
    rest = width - left - 2 - after
    # Notes get a third of the remaining width, so that most of it remains for the ladder.
    note = rest // 3 if width >= NOTED else 0
    area = max(NARROWEST, min(rest - note, WIDEST))
    right = left + 1 + area
    return Columns(time, delta, left, right, right + 1 + after + 1 if note else 0, max(width, right + 1 + after))


class LadderRows:
    """Draws one connection."""

    def __init__(self, ladder: Ladder, width: int, glyphs: Glyphs, words: Words) -> None:
        self._ladder = ladder
        self._glyphs = glyphs
        self._words = words
        self._digits = digits_for([row.time for row in ladder.rows])
        widest = max((len(clock(row.time, self._digits)) for row in ladder.rows), default=0)
        self._at = columns(width, max(widest + 1, 8))
        self._state: dict[Side, State | None] = {side: ladder.start.get(side) for side in (LEFT, RIGHT)}
        self._flying: dict[int, int] = {}  # segment number -> its column in the area
        self._before: int | None = None
        self._notes: list[str] = []  # the remaining lines of the note beside the ladder
        self.seen: set[str] = set()  #: the marks that were drawn, for the legend

    def lines(self) -> list[list[Span]]:
        """The whole ladder, beginning with its heads."""
        out = [*self._heads(), self._start()]
        for line in self._ladder.lines:
            if isinstance(line, Row):
                note = self._note(line)
                if note:
                    out += self._rest()
                    self._notes = note
                strips = [self._row(line)]
            elif isinstance(line, WaitRow):
                strips = self._wait(line)
            elif isinstance(line, LinkRow):
                strips = self._link(line)
            elif isinstance(line, NoEffectRow):
                text = self._glyphs.legible(no_effect.spell(line.number, line.why, self._words, lost=line.lost))
                strips = [self._across(self._blank(), part) for part in cells.wrap(text, self._room)]
            else:
                strips = self._bulk(line)
            out += [self._noted(strip) for strip in strips]
        return [*out, *self._rest()]

    def _noted(self, strip: Strip) -> list[Span]:
        """A line with the next line of the note beside it."""
        if self._notes:
            strip.put(self._at.note, self._notes.pop(0), DIM)
        return strip.spans()

    def _rest(self) -> list[list[Span]]:
        """The rest of a note, on lines without events."""
        return [self._noted(self._blank()) for _ in range(len(self._notes))]

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

    def _note(self, row: Row) -> list[str]:
        """The note beside a line, if there is room: causes that are not drawn."""
        if not self._at.note:
            return []
        room = self._at.width - self._at.note
        causes = []
        for change in (row.left, row.right):
            # A segment that is the cause is on the line already.
            if change and change.transition.objection:
                objection = self._glyphs.legible(self._words.message(change.transition.objection))
                # The states below the ladder show the complete text.
                causes.append(objection if cells.width(objection) <= room else self._words("ladder.see_below"))
            elif change and change.transition.cause.kind != "segment":
                causes.append(self._glyphs.legible(self._words.message(change.transition.cause.message)))
        return cells.wrap(", ".join(dict.fromkeys(causes)), room) if causes else []

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
        if segment.lost:
            self._loses(strip, piece, forms, style)
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

    def _loses(self, strip: Strip, piece: Departure, forms: list[str], style: str) -> None:
        """A line to the middle that ends in a cross; text that does not fit before the cross comes after it."""
        middle, glyphs = self._at.middle, self._glyphs
        self.seen.add("lost")
        text = labels.fitting(forms, middle - 5)
        behind = "" if text == forms[0] else labels.numbers(piece.segment)
        if behind and text == forms[1]:
            text = labels.fitting(forms[2:], middle - 5)
        behind = behind if cells.width(behind) <= self._at.area - middle - 4 else ""
        if piece.side == "left":
            self._line(strip, 0, middle, style)
            self._write(strip, 2, text, style)
            strip.put(self._at.left + 1 + middle + 2, behind, style)
        else:
            self._line(strip, middle + 1, self._at.area, style)
            self._write(strip, self._at.area - 4 - cells.width(text), text, style)
            strip.put(self._at.left + 1 + middle - 1 - cells.width(behind), behind, style)
        strip.put(self._at.left + 1 + middle, glyphs.lost, "bold red")

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
        """Folded data: on one line if it fits, otherwise each direction and its losses on a separate line."""
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
        fates = [
            self._words(f"ladder.{fate}", count=f"{count:,}")
            for fate, count in (("bulk_lost", bulk.lost), ("bulk_again", bulk.again))
            if count
        ]
        return [*parts, ", ".join(fates)] if fates else parts

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
