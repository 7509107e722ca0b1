"""The points of plots, one by one: what a line of a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.report.series.plot import Plot


class PlotPoint(NamedTuple):
    """One point of a curve; the fields are the columns of the tables.

    ``connection`` is None for a link; ``value`` where a curve ends; ``top``, the upper end of a bar, for other shapes;
    ``segment``, the number in the ladder, if the point does not stand for a segment.
    """

    plot: str
    connection: int | None
    sender: str
    receiver: str
    curve: str
    shape: str
    unit: str
    time: int  #: nanoseconds of the run
    value: float | None
    top: float | None
    segment: int | None


def plot_points(plots: Iterable[Plot]) -> Iterator[PlotPoint]:
    """All points of all curves, in their order."""
    for plot in plots:
        for curve in plot.curves:
            for place, (time, value) in enumerate(zip(curve.times, curve.values, strict=True)):
                yield PlotPoint(
                    plot.kind,
                    plot.connection or None,
                    plot.sender,
                    plot.receiver,
                    curve.name,
                    curve.shape,
                    plot.unit,
                    time,
                    value,
                    curve.tops[place] if curve.tops else None,
                    curve.segments[place] if curve.segments else None,
                )
