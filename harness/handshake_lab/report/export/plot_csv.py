"""Plots as CSV: one line for each point."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from handshake_lab.report.text.times import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.report.series.plot import Plot

COLUMNS = ("plot", "connection", "sender", "receiver", "curve", "shape", "unit", "time", "value", "top", "segment")


def plot_csv(plots: Iterable[Plot]) -> str:
    """Write plots as CSV (RFC 4180, with LF), with a heading.

    ``time`` is in seconds of the run, with nine decimals; ``value`` is empty where a curve ends; ``top`` is the upper
    end of a bar; ``segment`` is the number of the segment in the ladder, if the point stands for one.
    """
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    for plot in plots:
        for curve in plot.curves:
            for place, (time, value) in enumerate(zip(curve.times, curve.values, strict=True)):
                lines.writerow(
                    (
                        plot.kind,
                        plot.connection or "",
                        plot.sender,
                        plot.receiver,
                        curve.name,
                        curve.shape,
                        plot.unit,
                        seconds(time),
                        "" if value is None else f"{value:.10g}",
                        f"{curve.tops[place]:.10g}" if curve.tops else "",
                        curve.segments[place] if curve.segments else "",
                    )
                )
    return out.getvalue()
