"""A ladder as SVG: for pages, which can switch the axis, and as a separate picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from handshake_lab.report.layout import labels
from handshake_lab.report.layout.connections import LEFT, RIGHT, Side
from handshake_lab.report.layout.lines import NoEffectRow, Row, WaitRow
from handshake_lab.report.svg import axes
from handshake_lab.report.svg.captions import captions
from handshake_lab.report.svg.elements import Element, Style, number, with_alternative, without
from handshake_lab.report.svg.geometry import NARROW, WIDE
from handshake_lab.report.svg.label_layout import OTHER, Arrows, Course, Label
from handshake_lab.report.svg.palette import EXPORT_CSS, SVG_CSS
from handshake_lab.report.text import cells, flags
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import clock, digits_for, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.connections import Lane
    from handshake_lab.report.layout.happenings import Change
    from handshake_lab.report.layout.lines import Ladder
    from handshake_lab.report.svg.geometry import Geometry
    from handshake_lab.report.text.translations import Words
    from handshake_lab.tcp.states import State

#: The height of the background of a label, and where it begins above the arrow.
LABEL_HEIGHT, LABEL_TOP = 12, 14


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
    root.attributes |= {"xmlns": "http://www.w3.org/2000/svg", "width": str(WIDE.width), "height": height}
    background = Element("rect", class_="paper", width=WIDE.width, height=height)
    root.children[:0] = [Style(SVG_CSS + EXPORT_CSS), background]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def switchable(ladder: Ladder, words: Words, marked: Mapping[str, str] = {}, *, linked: bool = True) -> str:
    """Draw a ladder for a page: on the sequence axis, with the time axis in ``data-time``.

    It is drawn twice: for wide screens and for phones. The page's style sheet shows one of them.

    Args:
        ladder: The ladder.
        words: The language.
        marked: The first differences from the expected states: the ``data-ref`` of a transition; ``t0-start`` for
            the first state of endpoint 0; or ``t0-end`` with the state that it did not reach.
        linked: Whether its elements refer to the rows of tables on the page.
    """
    drawings = [Drawing(ladder, words, marked, geometry) for geometry in (WIDE, NARROW)]
    drawn = [with_alternative(each.on(each.sequence), each.on(each.time)) for each in drawings]
    return "".join(str(each if linked else without(each, "data-ref", "data-at")) for each in drawn)


class Drawing:
    """Draws one ladder on an axis. The drawings on both axes have the same structure and differ in numbers only."""

    def __init__(self, ladder: Ladder, words: Words, marked: Mapping[str, str] = {}, geometry: Geometry = WIDE) -> None:
        self._marked = marked
        self._ladder = ladder
        self._words = words
        self._geometry = geometry
        self._digits = digits_for([row.time for row in ladder.rows])
        self._arrows = Arrows(ladder, geometry)
        self._captions = captions(ladder, words, geometry.caption_room)
        heights = {place: float(geometry.line * (len(lines) - 1)) for place, lines in self._captions.items()}
        self.sequence = axes.sequence(ladder, heights)
        self.time = axes.time(ladder, self._arrows.wide(), heights, geometry.text)

    def on(self, axis: axes.Axis) -> Element:
        """Draw the ladder on an axis."""
        connection, geometry = self._ladder.connection, self._geometry
        title = f"{visible(connection.left.node)} - {visible(connection.right.node)}"
        root = Element(
            "svg",
            class_="ladder narrow" if geometry.narrow else "ladder wide",
            viewBox=f"0 0 {geometry.width} {axis.bottom + 8:.0f}",
            role="group",
            aria_label=self._words("page.ladder_of", hosts=title),
        )
        for side, lane in connection.lanes:
            root.add(self._head(side, lane))
        for x, texts in self._between():
            root.add(*(Element("text", text, x=x, y=y, class_=f"{style} mid") for y, text, style in texts))
            root.add(Element("line", class_="middle", x1=x, x2=x, y1=axes.TOP - 30, y2=axis.bottom))
        for side in (LEFT, RIGHT):
            root.add(*self._states(side, axis))
        root.add(*self._times(axis))
        # Texts are drawn after all arrows, each on a background: no arrow strikes through them.
        courses = self._arrows.courses(axis)
        for which, course in courses.items():
            root.add(self._segment(self._arrows.segments[which], course, axis))
        for which, label in self._arrows.labels(axis).items():
            root.add(self._label(self._arrows.segments[which], courses[which].side, label))
        for place, line in enumerate(self._ladder.lines):
            cut = self.time.breaks[place]
            if cut is not None:
                root.add(self._break(cut, shown=axis is self.time))
            if place in self._captions:
                zigzag = [self._zigzag(axis.ys[place])] if isinstance(line, WaitRow) else []
                ref = f"p{line.number}" if isinstance(line, NoEffectRow) else None
                root.add(Element("g", *zigzag, *self._caption(self._captions[place], axis.ys[place]), data_ref=ref))
        return root

    def _between(self) -> Iterator[tuple[float, list[tuple[int, str, str]]]]:
        """The lanes between the sides: each with its place, and the heights, texts and classes of its head."""
        geometry = self._geometry
        routers = self._ladder.routers
        if not routers:
            yield geometry.middle, [(30, visible(self._ladder.middle, 20), "dim")]
        # The heads of the outer lanes are outside: there is room up to them, and halfway to another router.
        room = int((geometry.right - geometry.left) / max(1, len(routers)) / geometry.character)
        for (node, translation), x in zip(routers.items(), self._arrows.lanes.values(), strict=True):
            texts = [(30, visible(node, min(20, room)), "dim")]
            if translation and not geometry.narrow:
                forms = [[f"{before} ⇒ {after}", f"⇒ {after}"] for before, after in translation.changes]
                texts = [(18, texts[0][1], "dim")] + [
                    (place, labels.fitting(form, room), "dim mono")
                    for place, form in zip((34, 50), forms, strict=False)
                ]
            yield x, texts

    def _head(self, side: Side, lane: Lane) -> Element:
        # In the narrow drawing the addresses begin at the edges: they are longer than the place beside the lanes.
        x: float = self._geometry.edge(side) + (self._geometry.bar if side == RIGHT else -self._geometry.bar)
        anchor = _anchor(side)
        if self._geometry.narrow:
            x, anchor = (2, "start") if side == LEFT else (self._geometry.width - 2, "end")
        role = self._words(f"role.{lane.role}" if lane.role else "role.none")
        return Element(
            "g",
            Element("text", visible(lane.node, 24) or "?", x=x, y=18, class_=f"host {anchor}"),
            Element("text", role, x=x, y=34, class_=f"dim {anchor}"),
            Element("text", visible(str(lane.address), 48), x=x, y=50, class_=f"dim mono {anchor}"),
        )

    def _states(self, side: Side, axis: axes.Axis) -> list[Element]:
        """A lane: one bar for each state, with its name at the beginning."""
        x = self._geometry.edge(side) - (self._geometry.bar if side == LEFT else 0)
        begin, state = float(axes.TOP - 28), self._ladder.start.get(side)
        if state is None:
            return [Element("rect", class_="nobody", x=x + 3, y=begin, width=4, height=axis.bottom - begin)]
        lane = self._ladder.connection.left if side == LEFT else self._ladder.connection.right
        changes = [
            (axis.ys[place], change, 3 * place + 1)
            for place, line in enumerate(self._ladder.lines)
            if isinstance(line, Row) and (change := line.change(side))
        ]
        ends = [y for y, _, _ in changes] + [axis.bottom]
        parts = f"t{lane.index}-start" in self._marked
        group = Element("g", class_="state parts" if parts else "state")
        group.add(
            self._bar(state, x, begin, ends[0]),
            self._name(side, state, axes.TOP - (25 if self._geometry.narrow else 21), " ◀" if parts else ""),
        )
        out = [group]
        for (y, change, order), end in zip(changes, ends[1:], strict=True):
            out.append(self._change(side, change, f"t{lane.index or 0}-{change.place}", order, (x, y, end)))
        missing = self._marked.get(f"t{lane.index}-end")
        if missing:
            out.append(Element("g", self._name(side, f"✗ {missing}", axis.bottom - 4, ""), class_="state parts"))
        return out

    def _bar(self, state: State, x: float, y: float, end: float) -> Element:
        # 0 is the default of x and y and can be omitted.
        return Element(
            "rect",
            class_=f"bar s-{state}",
            x=x or None,
            y=y or None,
            width=self._geometry.bar,
            height=max(0.0, end - y),
        )

    def _name(self, side: Side, state: str, y: float, mark: str, origin: float = 0) -> Element:
        away = self._geometry.bar + self._geometry.gutter
        x = self._geometry.edge(side) + (away if side == RIGHT else -away) - origin
        return Element("text", f"{state}{mark}", x=x, y=y + 4, class_=f"name {_anchor(side)}")

    def _change(self, side: Side, change: Change, ref: str, order: int, where: tuple[float, float, float]) -> Element:
        x, y, end = where
        step = change.transition
        bar = self._geometry.bar
        origin = self._geometry.edge(side) - (bar if side == LEFT else 0)
        mark = " !" if step.objection else " ?" if step.inferred else ""
        doubt = " objected" if step.objection else " inferred" if step.inferred else ""
        if ref in self._marked:
            mark, doubt = " ◀", f"{doubt} parts"
        # Drawn at (0, 0), so that only the group's position and the bar's length differ between the axes.
        return Element(
            "g",
            self._bar(step.new, 0, 0, end - y),
            Element("path", class_="tick", d=f"M-2 0h{bar + 4}"),
            self._name(side, step.new, 0, mark, origin),
            class_=f"state change{doubt}",
            transform=f"translate({x} {number(y)})",
            data_ref=ref,
            data_at=str(order),
        )

    def _times(self, axis: axes.Axis) -> list[Element]:
        """The times at the left, if there is room for them; in the narrow drawing, above the states of that side."""
        narrow = self._geometry.narrow
        x, above = (self._geometry.left - self._geometry.bar - self._geometry.gutter, 9) if narrow else (64, -4)
        out, shown, lowest = [], "", -math.inf
        for place, line in enumerate(self._ladder.lines):
            if isinstance(line, WaitRow):
                continue
            text = clock(line.time, self._digits)
            y = axis.ys[place]
            fits = y - lowest >= self._geometry.text - 3
            if text != shown:
                out.append(Element("text", text, x=x, y=y - above, class_="time" if fits else "time off"))
                shown = text
                lowest = y if fits else lowest
            elif narrow and isinstance(line, Row) and line.left:
                lowest = y
        return out

    def _break(self, cut: tuple[int, float], *, shown: bool) -> Element:
        """A break of the time axis; on the sequence axis it is hidden, so that the structure is the same."""
        length, y = cut
        return Element("g", self._zigzag(y), *self._caption([span(length)], y), class_="cut" if shown else "cut off")

    def _caption(self, lines: list[str], y: float) -> list[Element]:
        """Lines of text in the middle, centred around ``y``, on a background that covers arrows."""
        geometry = self._geometry
        top = y - geometry.line * (len(lines) - 1) / 2
        width = max(map(cells.width, lines)) * geometry.caption + 8
        height = geometry.line * len(lines) + 2
        behind = Element("rect", class_="behind", x=geometry.middle - width / 2, y=top - 10, width=width, height=height)
        texts = [
            Element("text", line, x=geometry.middle, y=top + geometry.line * place + 3, class_="wait mid")
            for place, line in enumerate(lines)
        ]
        return [behind, *texts]

    def _segment(self, segment: TransmittedSegment, course: Course, axis: axes.Axis) -> Element:
        departs, arrives = self._arrows.places[segment.number]
        order = 3 * arrives if departs is None and arrives is not None else 3 * (departs or 0) + 2
        group = Element(
            "g",
            _line(course),
            class_=f"segment k-{flags.kind(segment.flags)}{self._fate(segment)}",
            data_ref=f"p{segment.number}",
            data_at=str(order),
        )
        if segment.lost:
            cross = f"M{course.x2 - 5} {number(course.y2 - 5)}l10 10m0-10l-10 10"
            group.add(Element("path", class_="mark cross", d=cross))
        elif segment.under_way:
            ring: dict[str, str | float | None] = {"fill": "var(--paper)", "stroke": "var(--ink)", "stroke_width": 2}
            group.add(Element("circle", class_="waits", cx=course.x2, cy=course.y2, r=5, **ring))
        else:
            group.add(_arrowhead(course))
        if segment.sent is None:
            group.add(Element("path", class_="mark", d=f"M{course.x1} {number(course.y1 - 6)}l6 6l-6 6l-6-6z"))
        if segment.retransmits is not None:
            group.add(self._again(segment, course.side, axis))
        return group

    def _label(self, segment: TransmittedSegment, side: Side, label: Label) -> Element:
        """A label on a background that covers other arrows; its own arrow is below both."""
        length = self._geometry.character * len(label.text)
        behind = Element(
            "rect",
            class_="behind",
            x=None if side == LEFT else -length,
            y=-LABEL_TOP,
            width=length,
            height=LABEL_HEIGHT,
        )
        return Element(
            "g",
            behind,
            Element("text", label.text, y=-5, class_=f"label {_anchor(OTHER[side])}"),
            class_=f"k-{flags.kind(segment.flags)}",
            transform=f"translate({number(label.x)} {number(label.y)}) rotate({number(label.angle)})",
            data_ref=f"p{segment.number}",
        )

    def _fate(self, segment: TransmittedSegment) -> str:
        if segment.number in self._ladder.connection.ignored:
            return " ignored"
        return " lost" if segment.lost else " under-way" if segment.under_way else ""

    def _again(self, segment: TransmittedSegment, side: Side, axis: axes.Axis) -> Element:
        """A dotted curve beside the lane, from the original to its retransmission."""
        departs = self._arrows.places[segment.number][0]
        first = self._arrows.places.get(segment.retransmits or 0, (None, None))[0]
        if first is None or departs is None:
            return Element("path", class_="again off", d="M0 0")
        out = -1 if side == LEFT else 1
        x = self._geometry.edge(side) + out * self._geometry.bar
        bow = x + out * self._geometry.bow
        y1, y2 = axis.ys[first], axis.ys[departs]
        return Element(
            "path",
            class_="again",
            d=f"M{x} {number(y1)}C{bow} {number(y1 + 8)} {bow} {number(y2 - 8)} {x} {number(y2)}",
        )

    def _zigzag(self, y: float) -> Element:
        """A break across both lanes."""
        edge = self._geometry.edge
        paths = [
            f"M{edge(side) - (15 if side == LEFT else 5)} {number(y + 3)}l5-6l5 6l5-6l5 6" for side in (LEFT, RIGHT)
        ]
        return Element("path", class_="zigzag", d="".join(paths))


def _anchor(side: Side) -> str:
    return "end" if side == LEFT else "start"


def _line(course: Course) -> Element:
    x2 = course.x2 - course.sign * 2
    if not course.bends:
        return Element("line", class_="arrow", x1=course.x1, y1=course.y1, x2=x2, y2=course.y2)
    points = [(course.x1, course.y1), *course.bends, (x2, course.y2)]
    return Element(
        "polyline", class_="arrow", fill="none", points=" ".join(f"{number(x)},{number(y)}" for x, y in points)
    )


def _arrowhead(course: Course) -> Element:
    x1, y1 = course.last_leg
    angle = math.atan2(course.y2 - y1, course.x2 - x1)
    corners = [
        (course.x2 - 9 * math.cos(angle + turn), course.y2 - 9 * math.sin(angle + turn)) for turn in (0.42, -0.42)
    ]
    points = " ".join(f"{number(x)},{number(y)}" for x, y in [(course.x2, course.y2), *corners])
    return Element("polygon", class_="head", points=points)
