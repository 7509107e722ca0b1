"""Plots as CSV: one line for each point."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from handshake_lab.report.export.plot_points import PlotPoint, plot_points
from handshake_lab.report.text.times import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.report.series.plot import Plot


def plot_csv(plots: Iterable[Plot]) -> str:
    """Write plots as CSV (RFC 4180, with LF), with a heading.

    The columns are the fields of `PlotPoint`; ``time`` is in seconds of the run, with nine decimals; what is None is
    empty.
    """
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(PlotPoint._fields)
    for point in plot_points(plots):
        *texts, time, value, top, segment = point
        lines.writerow((*texts, seconds(time), _decimal(value), _decimal(top), segment))
    return out.getvalue()


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.10g}"
