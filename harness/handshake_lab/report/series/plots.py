"""All plots of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.layout.connections import connections
from handshake_lab.report.series.congestion import ReportsBySocket, round_trip_plot, window_plot
from handshake_lab.report.series.direction import main_direction
from handshake_lab.report.series.queue import queue_plots
from handshake_lab.report.series.rates import throughput_plot
from handshake_lab.report.series.sequence import inflight_plot, sequence_plot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.series.direction import Direction
    from handshake_lab.report.series.plot import Kind, Plot

#: The plots that are derived from the captured segments alone.
_CAPTURED: dict[Kind, Callable[[Direction], Plot]] = {
    "sequence": sequence_plot,
    "inflight": inflight_plot,
    "throughput": throughput_plot,
}


def plots(
    record: Record,
    observations: Iterable[Observation],
    kinds: Sequence[Kind],
    number: int | None = None,
    found: Sequence[Connection] | None = None,
) -> list[Plot]:
    """The plots of a run: of each kind, one for each connection that carried data, in the direction of most of it.

    Args:
        record: The run.
        observations: Its observations.
        kinds: What to draw, in this order.
        number: Draw only this connection; plots of links are not affected.
        found: The record's connections, if they are known already.
    """
    every = connections(record) if found is None else found
    ways = [way for each in every if number in (None, each.number) and (way := main_direction(each))]
    reports = ReportsBySocket(observations) if {"cwnd", "rtt"} & set(kinds) else None
    drawn: list[Plot] = []
    for kind in kinds:
        if kind == "queue":
            drawn += queue_plots(record)
        elif kind in _CAPTURED:
            drawn += [_CAPTURED[kind](way) for way in ways]
        elif reports is not None:
            draw = window_plot if kind == "cwnd" else round_trip_plot
            drawn += [draw(way, reports.of(way)) for way in ways]
    return [plot for plot in drawn if any(curve.times for curve in plot.curves)]
