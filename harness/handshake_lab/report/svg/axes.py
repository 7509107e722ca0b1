"""The vertical position of each line of a ladder: one step per line, or proportional to time."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.report.layout.happenings import Arrival, Departure
from handshake_lab.report.layout.lines import Bulk, Ladder, LinkRow, NoEffectRow, Row, WaitRow
from handshake_lab.report.svg.geometry import WIDE
from handshake_lab.report.text.times import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The position of the first line, below the heads.
TOP = 84
#: The distance between two lines on the sequence axis.
STEP = 28
#: The height of a wait or of folded data.
BAND = 40
#: The height of a usual flight on the time axis.
FLIGHT = 64
#: A gap longer than this on the time axis is broken.
LONGEST = 170
#: The height of a broken gap.
BROKEN = 44
#: The minimum distance between two texts in one column of a wide drawing.
TEXT = WIDE.text

#: The columns of text: beside the lanes, and on the arrows that leave them.
_COLUMNS = ("left", "right", "from left", "from right")


class Axis(msgspec.Struct, frozen=True):
    """The vertical position of every line, in pixels, and the breaks of the time axis.

    ``breaks`` contains, for every line, the omitted nanoseconds before it and the position of the
    break; None if there is none.
    """

    ys: tuple[float, ...]
    breaks: tuple[tuple[int, float] | None, ...]
    bottom: float


def sequence(ladder: Ladder, heights: Mapping[int, float] = {}) -> Axis:
    """One step per line: the order of events, with equal distances.

    Args:
        ladder: The ladder.
        heights: How much higher than one line of text the captions of some lines are, in pixels.
    """
    y = float(TOP)
    ys = []
    for number, line in enumerate(ladder.lines):
        if number:
            step = STEP if isinstance(line, Row) and isinstance(ladder.lines[number - 1], Row) else BAND
            y += step + (heights.get(number, 0) + heights.get(number - 1, 0)) / 2
        ys.append(y)
    return Axis(tuple(ys), (None,) * len(ys), y + STEP)


def time(ladder: Ladder, wide: Sequence[bool], heights: Mapping[int, float] = {}, text: int = TEXT) -> Axis:
    """Proportional to time, with breaks in long waits.

    Args:
        ladder: The ladder.
        wide: For each line, whether its label needs more than half of the area.
        heights: How much higher than one line of text the captions of some lines are, in pixels.
        text: The minimum distance between two texts in one column.
    """
    scale = FLIGHT / _usual_flight(ladder)
    y = float(TOP)
    now: int | None = None
    ys: list[float] = []
    breaks: list[tuple[int, float] | None] = []
    used: dict[str, float] = {}
    for number, (line, long) in enumerate(zip(ladder.lines, wide, strict=True)):
        broken: tuple[int, float] | None = None
        band = BAND + heights.get(number, 0) / 2
        if isinstance(line, WaitRow):
            y = max([y, *used.values()]) + band
            used = dict.fromkeys(_COLUMNS, y + band - text)
            now = None
            ys.append(y)
            breaks.append(None)
            continue
        if now is not None:
            gap = max(0, line.time - now)
            if gap * scale > LONGEST:
                broken = (gap, y + BROKEN / 2)
                y += BROKEN
            else:
                y += gap * scale
        columns = _columns(line, long)
        y = max([y, *(used[each] + (text if isinstance(line, Row) else band) for each in columns if each in used)])
        for column in columns:
            used[column] = y + (0 if isinstance(line, Row) else band - text)
        ys.append(y)
        breaks.append(broken)
        now = line.time + (line.length if isinstance(line, Bulk) else 0)
    return Axis(tuple(ys), tuple(breaks), max([y, *used.values()]) + STEP)


def _usual_flight(ladder: Ladder) -> float:
    flights = [
        segment.received - segment.sent
        for segment in ladder.connection.segments
        if segment.sent is not None and segment.received is not None and segment.received > segment.sent
    ]
    return median(flights) if flights else MILLISECOND


def _columns(line: Row | Bulk | LinkRow | NoEffectRow, wide: bool) -> list[str]:
    """The columns in which a line has text."""
    if not isinstance(line, Row):
        return list(_COLUMNS)
    columns = [side for side in ("left", "right") if (line.left if side == "left" else line.right)]
    piece = line.piece
    if isinstance(piece, Departure) or (isinstance(piece, Arrival) and piece.segment.sent is None):
        columns += ["from left", "from right"] if wide or piece.segment.received is None else [f"from {piece.side}"]
    return columns
