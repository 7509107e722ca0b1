"""A ladder as SVG: for pages, which can switch the axis, and as a separate picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from handshake_lab.report.layout.connections import LEFT, RIGHT, Side
from handshake_lab.report.layout.lines import Bulk, LinkRow, NoEffectRow, Row, WaitRow
from handshake_lab.report.svg import axes
from handshake_lab.report.svg.elements import Element, Style, number, with_alternative
from handshake_lab.report.svg.label_layout import EDGE, MIDDLE, OTHER, Arrows, Course, Label
from handshake_lab.report.svg.palette import EXPORT_CSS, SVG_CSS
from handshake_lab.report.text import flags, link_changes, no_effect
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import clock, digits_for, span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.connections import Lane
    from handshake_lab.report.layout.happenings import Change
    from handshake_lab.report.layout.lines import Ladder
    from handshake_lab.report.text.translations import Words
    from handshake_lab.tcp.states import State

WIDTH = 780
BAR = 10
GUTTER = 15


def picture(ladder: Ladder, words: Words, axis: str = "sequence") -> str:
    """Draw a ladder as a separate SVG file, for slides.

    Args:
        ladder: The ladder.
        words: The language.
        axis: ``sequence`` or ``time``.
    """
    drawing = Drawing(ladder, words)
    root = drawing.on(drawing.sequence if axis == "sequence" else drawing.time)
    height = root.attributes["viewBox"].split()[3]
    root.attributes |= {"xmlns": "http://www.w3.org/2000/svg", "width": str(WIDTH), "height": height}
    background = Element("rect", class_="paper", width=WIDTH, height=height)
    root.children[:0] = [Style(SVG_CSS + EXPORT_CSS), background]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def switchable(ladder: Ladder, words: Words, marked: Mapping[str, str] = {}) -> str:
    """Draw a ladder for a page: on the sequence axis, with the time axis in ``data-time``.

    Args:
        ladder: The ladder.
        words: The language.
        marked: The first differences from the expected states: the ``data-ref`` of a transition; ``t0-start`` for
            the first state of endpoint 0; or ``t0-end`` with the state that it did not reach.
    """
    drawing = Drawing(ladder, words, marked)
    return str(with_alternative(drawing.on(drawing.sequence), drawing.on(drawing.time)))


class Drawing:
    """Draws one ladder on an axis. The drawings on both axes have the same structure and differ in numbers only."""

    def __init__(self, ladder: Ladder, words: Words, marked: Mapping[str, str] = {}) -> None:
        self._marked = marked
        self._ladder = ladder
        self._words = words
        self._digits = digits_for([row.time for row in ladder.rows])
        self._arrows = Arrows(ladder)
        self.sequence = axes.sequence(ladder)
        self.time = axes.time(ladder, self._arrows.wide())

    def on(self, axis: axes.Axis) -> Element:
        """Draw the ladder on an axis."""
        connection = self._ladder.connection
        title = f"{visible(connection.left.node)} - {visible(connection.right.node)}"
        root = Element(
            "svg",
            class_="ladder",
            viewBox=f"0 0 {WIDTH} {axis.bottom + 8:.0f}",
            role="group",
            aria_label=self._words("page.ladder_of", hosts=title),
        )
        for side, lane in connection.lanes:
            root.add(self._head(side, lane))
        middle = Element("text", visible(self._ladder.middle, 20), x=MIDDLE, y=30, class_="dim mid")
        root.add(middle, Element("line", class_="middle", x1=MIDDLE, x2=MIDDLE, y1=axes.TOP - 30, y2=axis.bottom))
        for side in (LEFT, RIGHT):
            root.add(*self._states(side, axis))
        root.add(*self._times(axis))
        courses = self._arrows.courses(axis)
        for which, label in self._arrows.labels(axis).items():
            root.add(self._segment(self._arrows.segments[which], courses[which], label, axis))
        for place, line in enumerate(self._ladder.lines):
            cut = self.time.breaks[place]
            if cut is not None:
                root.add(self._break(cut, shown=axis is self.time))
            if isinstance(line, WaitRow):
                root.add(self._wait(line, axis.ys[place]))
            elif isinstance(line, Bulk):
                root.add(self._bulk(line, axis.ys[place]))
            elif isinstance(line, LinkRow):
                root.add(self._link(line, axis.ys[place]))
            elif isinstance(line, NoEffectRow):
                root.add(self._no_effect(line, axis.ys[place]))
        return root

    def _head(self, side: Side, lane: Lane) -> Element:
        x = EDGE[side] + (BAR if side == RIGHT else -BAR)
        role = self._words(f"role.{lane.role}" if lane.role else "role.none")
        return Element(
            "g",
            Element("text", visible(lane.node, 24) or "?", x=x, y=18, class_=f"host {_anchor(side)}"),
            Element("text", role, x=x, y=34, class_=f"dim {_anchor(side)}"),
            Element("text", visible(str(lane.address), 48), x=x, y=50, class_=f"dim mono {_anchor(side)}"),
        )

    def _states(self, side: Side, axis: axes.Axis) -> list[Element]:
        """A lane: one bar for each state, with its name at the beginning."""
        x = EDGE[side] if side == RIGHT else EDGE[side] - BAR
        begin, state = float(axes.TOP - 28), self._ladder.start.get(side)
        if state is None:
            return [Element("rect", class_="nobody", x=x + 3, y=begin, width=4, height=axis.bottom - begin)]
        lane = self._ladder.connection.left if side == LEFT else self._ladder.connection.right
        changes = [
            (axis.ys[place], change)
            for place, line in enumerate(self._ladder.lines)
            if isinstance(line, Row) and (change := line.change(side))
        ]
        ends = [y for y, _ in changes] + [axis.bottom]
        parts = f"t{lane.index}-start" in self._marked
        group = Element("g", class_="state parts" if parts else "state")
        group.add(self._bar(state, x, begin, ends[0]), self._name(side, state, axes.TOP - 21, " ◀" if parts else ""))
        out = [group]
        for (y, change), end in zip(changes, ends[1:], strict=True):
            out.append(self._change(side, change, lane.index or 0, (x, y, end)))
        missing = self._marked.get(f"t{lane.index}-end")
        if missing:
            out.append(Element("g", self._name(side, f"✗ {missing}", axis.bottom - 4, ""), class_="state parts"))
        return out

    def _bar(self, state: State, x: float, y: float, end: float) -> Element:
        # 0 is the default of x and y and can be omitted.
        return Element("rect", class_=f"bar s-{state}", x=x or None, y=y or None, width=BAR, height=max(0.0, end - y))

    def _name(self, side: Side, state: str, y: float, mark: str, origin: float = 0) -> Element:
        x = EDGE[side] + (BAR + GUTTER if side == RIGHT else -BAR - GUTTER) - origin
        return Element("text", f"{state}{mark}", x=x, y=y + 4, class_=f"name {_anchor(side)}")

    def _change(self, side: Side, change: Change, index: int, where: tuple[float, float, float]) -> Element:
        x, y, end = where
        step = change.transition
        ref = f"t{index}-{change.place}"
        mark = " !" if step.objection else " ?" if step.inferred else ""
        doubt = " objected" if step.objection else " inferred" if step.inferred else ""
        if ref in self._marked:
            mark, doubt = " ◀", f"{doubt} parts"
        # Drawn at (0, 0), so that only the group's position and the bar's length differ between the axes.
        return Element(
            "g",
            self._bar(step.new, 0, 0, end - y),
            Element("path", class_="tick", d=f"M-2 0h{BAR + 4}"),
            self._name(side, step.new, 0, mark, EDGE[side] - (BAR if side == LEFT else 0)),
            class_=f"state change{doubt}",
            transform=f"translate({x} {number(y)})",
            data_ref=ref,
        )

    def _times(self, axis: axes.Axis) -> list[Element]:
        """The times at the left, if there is room for them."""
        out, shown, lowest = [], "", -math.inf
        for place, line in enumerate(self._ladder.lines):
            if isinstance(line, WaitRow):
                continue
            text = clock(line.time, self._digits)
            if text == shown:
                continue
            y = axis.ys[place]
            fits = y - lowest >= axes.TEXT - 3
            out.append(Element("text", text, x=64, y=y + 4, class_="time" if fits else "time off"))
            lowest = y if fits else lowest
            shown = text
        return out

    def _break(self, cut: tuple[int, float], *, shown: bool) -> Element:
        """A break of the time axis; on the sequence axis it is hidden, so that the structure is the same."""
        length, y = cut
        text = Element("text", span(length), x=MIDDLE, y=y + 4, class_="wait mid")
        return Element("g", _zigzag(y), text, class_="cut" if shown else "cut off")

    def _wait(self, wait: WaitRow, y: float) -> Element:
        length = span(wait.length)
        if wait.open:
            text = self._words("ladder.wait_open", length=length)
        elif wait.until:
            text = self._words(
                "ladder.wait_timer", length=length, timer=visible(self._words.message(wait.until.cause.message), 80)
            )
        elif wait.again:
            text = self._words("ladder.wait_again", length=length, number=wait.again.retransmits)
        else:
            text = self._words("ladder.wait", length=length)
        return Element("g", _zigzag(y), Element("text", f"⋯ {text} ⋯", x=MIDDLE, y=y + 4, class_="wait mid"))

    def _bulk(self, bulk: Bulk, y: float) -> Element:
        parts = [
            f"{arrow} {self._words('ladder.bulk', segments=f'{count:,}', octets=f'{bulk.octets[side]:,}')}"
            for side, arrow in ((LEFT, "→"), (RIGHT, "←"))
            if (count := bulk.segments[side])
        ]
        return Element("g", Element("text", "   ".join(parts), x=MIDDLE, y=y + 4, class_="wait mid"))

    def _link(self, row: LinkRow, y: float) -> Element:
        text = visible(link_changes.spell(row.change, self._words), 100)
        return Element("g", Element("text", text, x=MIDDLE, y=y + 4, class_="wait mid"))

    def _no_effect(self, row: NoEffectRow, y: float) -> Element:
        text = visible(no_effect.spell(row.number, row.why, self._words, lost=row.lost), 120)
        return Element("g", Element("text", text, x=MIDDLE, y=y + 4, class_="wait mid"), data_ref=f"p{row.number}")

    def _segment(self, segment: TransmittedSegment, course: Course, label: Label, axis: axes.Axis) -> Element:
        group = Element(
            "g",
            Element("line", class_="arrow", x1=course.x1, y1=course.y1, x2=course.x2 - course.sign * 2, y2=course.y2),
            class_=f"segment k-{flags.kind(segment.flags)}{self._fate(segment)}",
            data_ref=f"p{segment.number}",
        )
        if segment.lost:
            cross = f"M{course.x2 - 5} {number(course.y2 - 5)}l10 10m0-10l-10 10"
            group.add(Element("path", class_="mark cross", d=cross))
        else:
            group.add(_arrowhead(course))
        if segment.sent is None:
            group.add(Element("path", class_="mark", d=f"M{course.x1} {number(course.y1 - 6)}l6 6l-6 6l-6-6z"))
        place = f"translate({number(label.x)} {number(label.y)}) rotate({number(label.angle)})"
        anchor = _anchor(OTHER[course.side])
        group.add(Element("text", label.text, y=-5, transform=place, class_=f"label {anchor}"))
        if segment.retransmits is not None:
            group.add(self._again(segment, course.side, axis))
        return group

    def _fate(self, segment: TransmittedSegment) -> str:
        if segment.number in self._ladder.connection.ignored:
            return " ignored"
        return " lost" if segment.lost else ""

    def _again(self, segment: TransmittedSegment, side: Side, axis: axes.Axis) -> Element:
        """A dotted curve beside the lane, from the original to its retransmission."""
        departs = self._arrows.places[segment.number][0]
        first = self._arrows.places.get(segment.retransmits or 0, (None, None))[0]
        if first is None or departs is None:
            return Element("path", class_="again off", d="M0 0")
        out = -1 if side == LEFT else 1
        x = EDGE[side] + out * BAR
        bow = x + out * 15
        y1, y2 = axis.ys[first], axis.ys[departs]
        return Element(
            "path",
            class_="again",
            d=f"M{x} {number(y1)}C{bow} {number(y1 + 8)} {bow} {number(y2 - 8)} {x} {number(y2)}",
        )


def _anchor(side: Side) -> str:
    return "end" if side == LEFT else "start"


def _arrowhead(course: Course) -> Element:
    angle = math.atan2(course.y2 - course.y1, course.x2 - course.x1)
    corners = [
        (course.x2 - 9 * math.cos(angle + turn), course.y2 - 9 * math.sin(angle + turn)) for turn in (0.42, -0.42)
    ]
    points = " ".join(f"{number(x)},{number(y)}" for x, y in [(course.x2, course.y2), *corners])
    return Element("polygon", class_="head", points=points)


def _zigzag(y: float) -> Element:
    """A break across both lanes."""
    paths = [f"M{EDGE[side] - (15 if side == LEFT else 5)} {number(y + 3)}l5-6l5 6l5-6l5 6" for side in (LEFT, RIGHT)]
    return Element("path", class_="zigzag", d="".join(paths))
