"""The positions of a ladder's arrows on an axis, and of their labels."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.report.layout import labels
from handshake_lab.report.layout.connections import LEFT, RIGHT, Side
from handshake_lab.report.layout.happenings import Departure
from handshake_lab.report.layout.lines import Row
from handshake_lab.report.svg import axes
from handshake_lab.report.svg.geometry import WIDE

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.lines import Ladder
    from handshake_lab.report.svg.geometry import Geometry

#: Labels of arrows whose slopes differ by less than this, in degrees, do not intersect.
SAME_SLOPE = 2
#: An arrow is drawn as one line if no router is farther from it, in pixels.
STRAIGHT = 1.5
OTHER: dict[Side, Side] = {LEFT: RIGHT, RIGHT: LEFT}


class Course(msgspec.Struct, frozen=True):
    """The line of an arrow, in pixels, and the side from which it comes.

    ``bends`` are where it reaches and leaves the lanes of routers, unless that is on the straight line.
    """

    side: Side
    x1: float
    y1: float
    x2: float
    y2: float
    bends: tuple[tuple[float, float], ...] = ()

    @property
    def sign(self) -> int:
        """1 from left to right, otherwise -1."""
        return 1 if self.side == LEFT else -1

    @property
    def last_leg(self) -> tuple[float, float]:
        """Where the straight line to its end begins."""
        return self.bends[-1] if self.bends else (self.x1, self.y1)

    @property
    def angle(self) -> float:
        """The slope in degrees, by which text along the arrow is rotated."""
        return math.degrees(math.atan2((self.y2 - self.y1) * self.sign, abs(self.x2 - self.x1)))


class Label(msgspec.Struct, frozen=True):
    """The label of an arrow: its text, the position where it begins (from the right: ends), and its rotation."""

    text: str
    x: float
    y: float
    angle: float


class Arrows:
    """A ladder's segments.

    Args:
        ladder: The ladder.
        geometry: The measures of the drawing.

    Attributes:
        segments: The segments by number, in the order of drawing.
        places: The lines on which each segment departs and arrives.
        lanes: The positions of the routers' lanes, from left to right.
    """

    def __init__(self, ladder: Ladder, geometry: Geometry = WIDE) -> None:
        self._ladder = ladder
        self._geometry = geometry
        self.lanes = dict(zip(ladder.routers, geometry.between(len(ladder.routers)), strict=True))
        self.segments = {row.piece.segment.number: row.piece.segment for row in ladder.rows if row.piece}
        self.places = self._lines()
        self._halved: set[int] = set()  # segments with a label on their half of the area
        self._text = self._texts()

    def wide(self) -> list[bool]:
        """For each line, whether its label needs more than half of the area."""
        return [
            isinstance(line, Row)
            and line.piece is not None
            and len(self._text[line.piece.segment.number]) > self._geometry.half
            for line in self._ladder.lines
        ]

    def courses(self, axis: axes.Axis) -> dict[int, Course]:
        """The course of each arrow on an axis."""
        return {number: self._course(number, axis) for number in self.places}

    def labels(self, axis: axes.Axis) -> dict[int, Label]:
        """The label of each arrow. It follows its arrow unless something is in the way."""
        courses = self.courses(axis)
        texts = {number: self._fitted(number) for number in courses}
        flat = set(courses) if self._geometry.narrow else self._flat(courses, texts, axis) | self._bent(courses)
        arrivals: dict[Side, list[float]] = {LEFT: [], RIGHT: []}
        for number, (_, arrives) in self.places.items():
            if arrives is not None:
                arrivals[OTHER[courses[number].side]].append(axis.ys[arrives])
        for ys in arrivals.values():
            ys.sort()
        return {
            number: self._label(number, texts[number], course, arrivals[course.side], flat=number in flat)
            for number, course in courses.items()
        }

    def _lines(self) -> dict[int, tuple[int | None, int | None]]:
        places: dict[int, tuple[int | None, int | None]] = {}
        for number, line in enumerate(self._ladder.lines):
            if isinstance(line, Row) and line.piece:
                departs, arrives = places.get(line.piece.segment.number, (None, None))
                if isinstance(line.piece, Departure):
                    departs = number
                else:
                    arrives = number
                places[line.piece.segment.number] = (departs, arrives)
        return places

    def _texts(self) -> dict[int, str]:
        """The texts of the labels; shorter if a segment in the opposite direction crosses."""
        texts = {}
        geometry = self._geometry
        crossing = set() if geometry.narrow else self._crossing()
        for segment in self.segments.values():
            crossed = segment.number in crossing
            room = geometry.half if crossed or (segment.received is None and not geometry.narrow) else geometry.room
            texts[segment.number] = labels.fitting(labels.forms(segment, "↻"), room)
            if room == geometry.half:
                self._halved.add(segment.number)
        return texts

    def _fitted(self, number: int) -> str:
        segment = self.segments[number]
        room = self._geometry.half - (0 if self._geometry.narrow else 4)
        room = room if segment.sent is None else self._geometry.room
        return labels.fitting([self._text[number], *labels.forms(segment, "↻")], room)

    def _course(self, number: int, axis: axes.Axis) -> Course:
        departs, arrives = self.places[number]
        side = self._ladder.connection.side_of(self.segments[number])
        begin, end = self._geometry.edge(side), self._geometry.edge(OTHER[side])
        if departs is None:
            y = axis.ys[arrives or 0]
            origin = self.lanes.get(self.segments[number].sender, self._geometry.middle)
            return Course(side, origin, y - 8, end, y)
        y = axis.ys[departs]
        if arrives is None:
            return self._lost(number, side, y)
        return Course(side, begin, y, end, axis.ys[arrives], self._bends(number, y, axis.ys[arrives], begin, end))

    def _bends(self, number: int, y1: float, y2: float, x1: float, x2: float) -> tuple[tuple[float, float], ...]:
        """Where an arrow reaches and leaves the lanes of routers; nothing if that is on its straight line."""
        segment = self.segments[number]
        sent, flight = segment.sent or 0, max(1, (segment.received or 0) - (segment.sent or 0))
        bends = [
            (self.lanes[hop.node], y1 + (y2 - y1) * (time - sent) / flight)
            for hop in self._ladder.ways.get(number, ())
            for time in (hop.received, hop.sent)
            if time is not None
        ]
        straight = all(abs(y1 + (y2 - y1) * (x - x1) / (x2 - x1) - y) < STRAIGHT for x, y in bends)
        return () if straight else tuple(dict.fromkeys(bends))

    def _lost(self, number: int, side: Side, y: float) -> Course:
        """The course of a lost segment: to the router that did not send it on, or halfway to the next node."""
        geometry, way = self._geometry, self._ladder.ways.get(number, ())
        begin, end = geometry.edge(side), geometry.edge(OTHER[side])
        last = self.lanes[way[-1].node] if way else begin
        ahead = (x for x in (*self.lanes.values(), end) if (x > last if side == LEFT else x < last))
        x = last if way and way[-1].sent is None else (last + min(ahead, key=lambda x: abs(x - last))) / 2
        return Course(side, begin, y, x, y + geometry.drop)

    def _bent(self, courses: dict[int, Course]) -> set[int]:
        """The segments whose arrows do not run along one line, or end before their labels do."""
        return {number for number, each in courses.items() if each.bends or (self.lanes and self.segments[number].lost)}

    def _crossing(self) -> set[int]:
        """The segments that are in flight at the same time as one in the opposite direction."""
        side_of = self._ladder.connection.side_of
        flights: dict[Side, list[tuple[int, int]]] = {LEFT: [], RIGHT: []}
        for segment in self.segments.values():
            if segment.sent is not None:
                flights[side_of(segment)].append((segment.sent, _landed(segment)))
        starts, last_ends = {}, {}
        for side, found in flights.items():
            found.sort()
            starts[side] = [start for start, _ in found]
            last_ends[side] = list(accumulate((end for _, end in found), max))
        out = set()
        for segment in self.segments.values():
            if segment.sent is not None:
                other = OTHER[side_of(segment)]
                before = bisect_left(starts[other], _landed(segment))
                if before and last_ends[other][before - 1] > segment.sent:
                    out.add(segment.number)
        return out

    def _label(self, number: int, text: str, course: Course, arrivals: list[float], *, flat: bool) -> Label:
        """The label of an arrow; ``arrivals`` are the positions at which arrows reach its lane."""
        geometry = self._geometry
        above = bisect_right(arrivals, course.y1 + 1)
        away = geometry.far if above and course.y1 - arrivals[above - 1] < axes.TEXT else geometry.near
        if number in self._halved:
            room = int(geometry.middle - geometry.left - 4 - geometry.character * len(text))
            away = max(geometry.near, min(away, room))
        angle = 0.0 if flat else course.angle
        down = away / abs(course.x2 - course.x1) * (course.y2 - course.y1) if angle else 0
        return Label(text, course.x1 + course.sign * away, course.y1 + down, angle)

    def _flat(self, courses: dict[int, Course], texts: dict[int, str], axis: axes.Axis) -> set[int]:
        """The segments whose labels are horizontal, because along the arrow they would overlap with a text below."""
        order = sorted(courses, key=lambda number: courses[number].y1)
        heights = [courses[number].y1 for number in order]
        captions = [axis.ys[place] for place, line in enumerate(self._ladder.lines) if not isinstance(line, Row)]
        flat: set[int] = set()
        below: dict[Side, list[float]] = {LEFT: [], RIGHT: []}  # horizontal labels, from the lowest up
        for number in reversed(order):
            course = courses[number]
            reach = self._reach(course, texts[number])
            next_ones = (each for each in reversed(below[course.side]) if each > course.y1)
            neighbours = order[bisect_right(heights, course.y1) : bisect_left(heights, reach)]
            if (
                next(next_ones, math.inf) < reach
                or bisect_right(captions, course.y1) < bisect_left(captions, reach)
                or any(self._would_overlap(course, other, courses[other]) for other in neighbours)
            ):
                flat.add(number)
                below[course.side].append(course.y1)
        return flat

    def _would_overlap(self, course: Course, other: int, its: Course) -> bool:
        # The label of a crafted segment is in the half that it crosses, where the other side has its labels.
        beside = its.side == course.side or self.segments[other].sent is None
        return beside and abs(its.angle - course.angle) > SAME_SLOPE

    def _reach(self, course: Course, text: str) -> float:
        """How far a label that follows its arrow extends downwards."""
        length = self._geometry.near + self._geometry.character * len(text)
        return course.y1 + math.tan(math.radians(abs(course.angle))) * length + axes.TEXT


def _landed(segment: TransmittedSegment) -> int:
    """When a segment is no longer in flight; without delay a nanosecond later, so that it is in flight at all."""
    sent = segment.sent or 0
    return max(segment.received or sent, sent + 1)
