"""The plots of a page: what its script draws, as JSON, and the legends, which do not need the script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.report.html.columns import differences
from handshake_lab.report.series.plot import KINDS
from handshake_lab.report.series.plots import plots
from handshake_lab.report.svg.palette import CURVES, DASHED, ON_PAPER
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.plots import curve_name, heading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.series.plot import Curve, Kind, Plot
    from handshake_lab.report.text.translations import Words

#: A page has plots if a connection has more segments with data than this: a ladder shows fewer.
FEW = 8
#: How many plots of a kind a page draws: those of the connections with most segments.
MOST = 8


def with_much_data(found: Sequence[Connection]) -> list[Connection]:
    """The connections of which a page has plots."""
    rich = [each for each in found if sum(segment.length > 0 for segment in each.segments) > FEW]
    return sorted(sorted(rich, key=lambda each: -len(each.segments))[:MOST], key=lambda each: each.number)


def plot_sections(
    record: Record, observations: Sequence[Observation], chosen: Sequence[Connection], w: Words
) -> tuple[list[dict[str, Any]], Markup]:
    """The plots of a page.

    Args:
        record: The run.
        observations: Its observations.
        chosen: The connections `with_much_data`.
        w: The language.

    Returns:
        For each kind its headings and legends, and the curves as JSON; nothing if no connection carried much data.
    """
    if not chosen:
        return [], Markup()
    by_kind: dict[Kind, list[Plot]] = {}
    for plot in plots(record, observations, KINDS, found=chosen):
        by_kind.setdefault(plot.kind, []).append(plot)
    curves = [curve for drawn in by_kind.values() for plot in drawn for curve in plot.curves if curve.times]
    data = {
        "range": [min(each.times[0] for each in curves) / 1e9, max(each.times[-1] for each in curves) / 1e9],
        "light": ON_PAPER,
        "kinds": [{"kind": kind, "plots": [_encoded(plot) for plot in drawn]} for kind, drawn in by_kind.items()],
    }
    sections = [
        {
            "kind": kind,
            "title": w(f"plot_kind.{kind}"),
            "unit": w(f"plot_unit.{kind}"),
            "plots": [{"heading": visible(heading(plot, w), 120), "curves": _legend(plot, w)} for plot in drawn],
        }
        for kind, drawn in by_kind.items()
    ]
    # Only numbers and names of this project: nothing in it can end the element.
    return sections, Markup(json.dumps(data, separators=(",", ":")))  # noqa: S704


def _shown(plot: Plot) -> Iterable[Curve]:
    return (curve for curve in plot.curves if curve.times)


def _encoded(plot: Plot) -> dict[str, Any]:
    return {
        "curves": [
            {
                "shape": curve.shape,
                "colour": CURVES[curve.name],
                "dashed": curve.name in DASHED,
                "t": differences(curve.times),
                "v": [None if value is None else _short(value) for value in curve.values],
                "top": [
                    _short(top - (value or 0)) for top, value in zip(curve.tops, curve.values, strict=bool(curve.tops))
                ],
                "segment": differences(curve.segments),
            }
            for curve in _shown(plot)
        ]
    }


def _legend(plot: Plot, w: Words) -> list[dict[str, str]]:
    """The name, the style and the range of each curve: a screen reader has no more of the picture."""
    out = []
    for curve in _shown(plot):
        values = [value for value in (*curve.values, *curve.tops) if value is not None]
        span = w("plot.span", low=f"{min(values):,.10g}", high=f"{max(values):,.10g}") if values else ""
        shape = f"{curve.shape} c-{curve.name}"
        out.append({"name": curve_name(curve.name, w), "style": shape, "range": span})
    return out


def _short(value: float) -> float:
    """A whole number without a decimal point; others with six significant digits."""
    return int(value) if value == int(value) else float(f"{value:.6g}")
