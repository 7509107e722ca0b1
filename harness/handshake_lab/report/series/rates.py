"""Throughput and goodput of one direction: the payload that arrives at the receiver, in equal intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.series.plot import Plot, Points

if TYPE_CHECKING:
    from handshake_lab.report.series.direction import Direction

#: About how many intervals a plot has.
_INTERVALS = 100
#: The shortest interval in nanoseconds.
_SHORTEST = 1_000_000


def throughput_plot(way: Direction) -> Plot:
    """Payload in Mbit/s: all that arrives (throughput), and without what had arrived before (goodput)."""
    arrivals = sorted(
        (segment.received, segment.rel_seq, segment.rel_seq + segment.length)
        for segment in way.data
        if segment.received is not None and not segment.damaged
    )
    throughput, goodput = Points("throughput", "steps"), Points("goodput", "steps")
    if arrivals:
        first, last = arrivals[0][0], arrivals[-1][0]
        width = interval(last - first)
        everything: dict[int, int] = {}
        fresh: dict[int, int] = {}
        held = _Held()
        for time, start, end in arrivals:
            place = time // width
            everything[place] = everything.get(place, 0) + end - start
            fresh[place] = fresh.get(place, 0) + held.add(start, end)
        for place in range(first // width, last // width + 2):
            # One byte per nanosecond is 8000 Mbit/s.
            throughput.add(place * width, everything.get(place, 0) * 8000 / width)
            goodput.add(place * width, fresh.get(place, 0) * 8000 / width)
    curves = (throughput.curve(), goodput.curve())
    return Plot("throughput", way.connection, way.sender, way.receiver, curves)


def interval(length: int) -> int:
    """The nanoseconds of an interval for a plot of this length: 1, 2 or 5 times a power of ten."""
    wanted = max(length // _INTERVALS, _SHORTEST)
    size = 1
    while size * 10 <= wanted:
        size *= 10
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= wanted)


class _Held:
    """The ranges of bytes that have arrived."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []  # ascending, apart

    def add(self, start: int, end: int) -> int:
        """Add a range; returns how many of its bytes are new."""
        ranges = self._ranges
        if not ranges or start > ranges[-1][1]:
            ranges.append((start, end))
            return end - start
        if ranges[-1][0] <= start:  # the usual case: at the end of the last range, or in it
            new = max(0, end - ranges[-1][1])
            ranges[-1] = ranges[-1][0], max(end, ranges[-1][1])
            return new
        low, high, new = start, end, end - start
        kept = []
        for left, right in ranges:
            if right < start or left > end:
                kept.append((left, right))
            else:
                new -= max(0, min(right, end) - max(left, start))
                low, high = min(low, left), max(high, right)
        self._ranges = sorted([*kept, (low, high)])
        return new
