"""The positions of a ladder's arrows on an axis, and of their labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.report.layout import labels
from handshake_lab.report.layout.connections import LEFT, RIGHT, Side
from handshake_lab.report.layout.happenings import Departure
from handshake_lab.report.layout.lines import Bulk, LinkRow, NoEffectRow, Row, WaitRow
from handshake_lab.report.svg import axes

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.lines import Ladder

#: The inner edges of the lanes' bars; the arrows are between them.
EDGE = {LEFT: 206, RIGHT: 574 + 60}
MIDDLE = (EDGE[LEFT] + EDGE[RIGHT]) / 2
#: The width of a character of a label.
CHARACTER = 7.3
#: Characters that fit on an arrow, and on half of one.
ROOM = int((EDGE[RIGHT] - EDGE[LEFT] - 40) / CHARACTER)
HALF = int((MIDDLE - EDGE[LEFT] - 20) / CHARACTER)
#: The distance of a label from its lane, normally and if an arrow arrives directly above it.
NEAR, FAR = 12, 60
#: Labels of arrows whose slopes differ by less than this, in degrees, do not intersect.
SAME_SLOPE = 2
OTHER: dict[Side, Side] = {LEFT: RIGHT, RIGHT: LEFT}


class Course(msgspec.Struct, frozen=True):
    """The line of an arrow, in pixels, and the side from which it comes."""

    side: Side
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def sign(self) -> int:
        """1 from left to right, otherwise -1."""
        return 1 if self.side == LEFT else -1

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

    Attributes:
        segments: The segments by number, in the order of drawing.
        places: The lines on which each segment departs and arrives.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self.segments = {row.piece.segment.number: row.piece.segment for row in ladder.rows if row.piece}
        self.places = self._lines()
        self._halved: set[int] = set()  # segments with a label on their half of the area
        self._text = self._texts()

    def wide(self) -> list[bool]:
        """For each line, whether its label needs more than half of the area."""
        return [
            isinstance(line, Row) and line.piece is not None and len(self._text[line.piece.segment.number]) > HALF
            for line in self._ladder.lines
        ]

    def courses(self, axis: axes.Axis) -> dict[int, Course]:
        """The course of each arrow on an axis."""
        return {number: self._course(number, axis) for number in self.places}

    def labels(self, axis: axes.Axis) -> dict[int, Label]:
        """The label of each arrow. It follows its arrow unless something is in the way."""
        courses = self.courses(axis)
        texts = {number: self._fitted(number) for number in courses}
        reaches = {number: _reach(course, texts[number]) for number, course in courses.items()}
        flat = {number for number in courses if self._is_crowded(number, courses, reaches[number], axis)}
        while more := self._struck(flat, courses, reaches):
            flat |= more
        return {number: self._label(number, texts[number], courses, axis, flat=number in flat) for number in courses}

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
        for segment in self.segments.values():
            crossed = any(_cross(segment, other, self._ladder) for other in self.segments.values())
            room = HALF if crossed or segment.lost else ROOM
            texts[segment.number] = labels.fitting(labels.forms(segment, "↻"), room)
            if room == HALF:
                self._halved.add(segment.number)
        return texts

    def _fitted(self, number: int) -> str:
        segment = self.segments[number]
        room = HALF - 4 if segment.sent is None else ROOM
        return labels.fitting([self._text[number], *labels.forms(segment, "↻")], room)

    def _course(self, number: int, axis: axes.Axis) -> Course:
        departs, arrives = self.places[number]
        side = self._ladder.connection.side_of(self.segments[number])
        begin, end = EDGE[side], EDGE[OTHER[side]]
        if departs is None:
            y = axis.ys[arrives or 0]
            return Course(side, MIDDLE, y - 8, end, y)
        y = axis.ys[departs]
        if arrives is None:
            return Course(side, begin, y, MIDDLE, y + 10)
        return Course(side, begin, y, end, axis.ys[arrives])

    def _label(self, number: int, text: str, courses: dict[int, Course], axis: axes.Axis, *, flat: bool) -> Label:
        course = courses[number]
        away = self._clearance(course, courses, axis)
        if number in self._halved:
            away = max(NEAR, min(away, int(MIDDLE - EDGE[LEFT] - 4 - CHARACTER * len(text))))
        angle = 0.0 if flat else course.angle
        down = away / abs(course.x2 - course.x1) * (course.y2 - course.y1) if angle else 0
        return Label(text, course.x1 + course.sign * away, course.y1 + down, angle)

    def _is_crowded(self, number: int, courses: dict[int, Course], reach: float, axis: axes.Axis) -> bool:
        """Whether a label that follows its arrow would overlap with a text below it."""
        course = courses[number]
        for place, line in enumerate(self._ladder.lines):
            if isinstance(line, WaitRow | Bulk | LinkRow | NoEffectRow) and course.y1 < axis.ys[place] < reach:
                return True
        for other, its in courses.items():
            # The label of a crafted segment is in the half that it crosses, where the other side has its labels.
            beside = its.side == course.side or self.segments[other].sent is None
            if beside and course.y1 < its.y1 < reach and abs(its.angle - course.angle) > SAME_SLOPE:
                return True
        return False

    @staticmethod
    def _struck(flat: set[int], courses: dict[int, Course], reaches: dict[int, float]) -> set[int]:
        """The segments whose labels would overlap with a horizontal label."""
        return {
            number
            for number, course in courses.items()
            if number not in flat
            and any(
                courses[other].side == course.side and course.y1 < courses[other].y1 < reaches[number] for other in flat
            )
        }

    def _clearance(self, course: Course, courses: dict[int, Course], axis: axes.Axis) -> int:
        """The distance of a label from its lane; larger if an arrow arrives directly above it."""
        for number, (_, arrives) in self.places.items():
            if arrives is not None and courses[number].side != course.side:
                above = course.y1 - axis.ys[arrives]
                if -1 <= above < axes.TEXT:
                    return FAR
        return NEAR


def _reach(course: Course, text: str) -> float:
    """How far a label that follows its arrow extends downwards."""
    return course.y1 + math.tan(math.radians(abs(course.angle))) * (NEAR + CHARACTER * len(text)) + axes.TEXT


def _cross(one: TransmittedSegment, other: TransmittedSegment, ladder: Ladder) -> bool:
    """Whether two segments are in flight at the same time, in opposite directions."""
    side_of = ladder.connection.side_of
    if one.sent is None or other.sent is None or side_of(one) == side_of(other):
        return False
    ends = (one.received or one.sent, other.received or other.sent)
    return one.sent < ends[1] and other.sent < ends[0]
