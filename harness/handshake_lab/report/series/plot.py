"""Plots as values: curves of one connection's direction, or of one link, over the time of the run."""

from __future__ import annotations

from typing import Literal

import msgspec

#: How a curve is drawn: "steps" hold each value until the next point, "bars" extend from ``values`` to ``tops``.
Shape = Literal["steps", "line", "points", "bars"]

#: What can be drawn.
Kind = Literal["sequence", "cwnd", "rtt", "inflight", "throughput", "queue"]
KINDS: tuple[Kind, ...] = ("sequence", "cwnd", "rtt", "inflight", "throughput", "queue")

#: The unit of each kind's values.
UNITS: dict[Kind, str] = {
    "sequence": "B",
    "cwnd": "segments",
    "rtt": "ms",
    "inflight": "B",
    "throughput": "Mbit/s",
    "queue": "segments",
}

#: Names of curves: the keys ``plot.curve.NAME`` of the translations.
CurveName = Literal[
    "data", "retransmission", "lost", "ack", "sack", "window_edge",
    "cwnd", "ssthresh", "polled",
    "srtt", "measured", "rto",
    "inflight", "window",
    "throughput", "goodput",
    "queue",
]  # fmt: skip


class Curve(msgspec.Struct, frozen=True):
    """One curve: its points in order of time. A value of None ends the curve until the next point.

    ``segments`` are the numbers of the segments that the points stand for; empty if they stand for none.
    """

    name: CurveName
    shape: Shape
    times: tuple[int, ...]  #: nanoseconds of the run
    values: tuple[float | None, ...]
    tops: tuple[float, ...] = ()
    segments: tuple[int, ...] = ()

    def at(self, time: int) -> float | None:
        """The value of a curve of steps at a time; None before its first point."""
        from bisect import bisect_right  # noqa: PLC0415 - tests only

        place = bisect_right(self.times, time)
        return self.values[place - 1] if place else None


class Plot(msgspec.Struct, frozen=True):
    """What one picture shows.

    ``connection`` is the number of the connection, 0 for a link; ``sender`` and ``receiver`` are nodes: those of the
    data, or the ends of the link. Of several links, ``sender`` names all, and ``receiver`` is empty.
    """

    kind: Kind
    connection: int
    sender: str
    receiver: str
    curves: tuple[Curve, ...]

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return UNITS[self.kind]


class Points:
    """Collects the points of a curve."""

    def __init__(self, name: CurveName, shape: Shape) -> None:
        self._name = name
        self._shape = shape
        self._times: list[int] = []
        self._values: list[float | None] = []
        self._tops: list[float] = []
        self._segments: list[int] = []

    def add(self, time: int, value: float | None, top: float | None = None, segment: int | None = None) -> None:
        """Add a point. A curve of steps omits one that does not change its value."""
        if self._shape == "steps" and self._values and self._values[-1] == value:
            return
        if self._shape == "steps" and self._times and self._times[-1] == time:
            self._values[-1] = value
            return
        self._times.append(time)
        self._values.append(value)
        if top is not None:
            self._tops.append(top)
        if segment is not None:
            self._segments.append(segment)

    def curve(self) -> Curve:
        """The curve."""
        return Curve(
            self._name, self._shape, tuple(self._times), tuple(self._values), tuple(self._tops), tuple(self._segments)
        )
