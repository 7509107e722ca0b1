"""Plots as one SVG picture: a panel for each, all with the same axes, so that connections can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.svg.elements import Element, Path, Style, number
from handshake_lab.report.svg.palette import EXPORT_CSS, PLOT_CSS, SVG_CSS
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.plots import curve_name, heading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.report.series.plot import Curve, Plot
    from handshake_lab.report.text.translations import Words

WIDTH = 780
#: The edges of the area of a panel.
LEFT, RIGHT = 76, WIDTH - 16
#: The heights of a panel's heading, of its area, and of the times below it.
HEAD, HEIGHT, FOOT = 52, 240, 44
_SECOND = 1_000_000_000
#: About how many lines of a grid each axis has.
_TICKS = 6


def picture(plots: Sequence[Plot], words: Words) -> str:
    """Draw plots as a separate SVG file.

    Args:
        plots: Plots of one kind; at least one.
        words: The language.
    """
    curves = [curve for plot in plots for curve in plot.curves]
    times = [time for curve in curves for time in (curve.times[:1] + curve.times[-1:])]
    begin, end = min(times), max(*times, min(times) + 1)
    low, high = _range(curves)
    height = (HEAD + HEIGHT + FOOT) * len(plots)
    root = Element(
        "svg",
        Style(SVG_CSS + PLOT_CSS + EXPORT_CSS),
        Element("rect", class_="paper", width=WIDTH, height=height),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        aria_label="; ".join(visible(heading(plot, words), 120) for plot in plots),
    )
    for place, plot in enumerate(plots):
        panel = _Panel(place * (HEAD + HEIGHT + FOOT) + HEAD, (begin, end), (low, high))
        root.add(*panel.draw(plot, words))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Round numbers from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten, about ``count`` of them."""
    if high <= low:
        return [low]
    step = 10.0**-9
    while (high - low) / (step * 10) > count:
        step *= 10
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count)
    first = -(-low // step)
    return [round((first + place) * step, 9) for place in range(int((high - first * step) / step + 1e-9) + 1)]


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    values = [value for curve in curves for value in (*curve.values, *curve.tops) if value is not None]
    low, high = min(0.0, *values), max(values)
    return low, high + (high - low) / 20 if high > low else low + 1


class _Panel:
    """The area of one plot; ``top`` is its upper edge."""

    def __init__(self, top: float, times: tuple[int, int], values: tuple[float, float]) -> None:
        self._top = top
        self._begin, self._end = times
        self._low, self._high = values

    def draw(self, plot: Plot, words: Words) -> Iterator[Element]:
        """The heading, the legend, the axes and the curves."""
        yield Element("text", visible(heading(plot, words), 110), x=LEFT, y=self._top - 34, class_="host")
        yield from self._legend(plot, words)
        yield from self._axes(words("plot.time"), words(f"plot_unit.{plot.kind}"))
        for curve in plot.curves:
            if curve.times:
                yield Path(self._path(curve), class_=f"curve {curve.shape} c-{curve.name}")

    def _legend(self, plot: Plot, words: Words) -> Iterator[Element]:
        x = float(LEFT)
        for curve in plot.curves:
            if not curve.times:
                continue
            name = curve_name(curve.name, words)
            y = self._top - 16
            key = f"M{x} {y}h18" if curve.shape in ("steps", "line") else _mark(x + 9, y)
            yield Element("path", class_=f"curve {curve.shape} c-{curve.name}", d=key)
            yield Element("text", name, x=x + 23, y=y + 4, class_="dim")
            # Hangul takes about twice the width of a Latin letter.
            x += 40 + sum(12 if ord(letter) > 0x1100 else 7 for letter in name)

    def _axes(self, time: str, unit: str) -> Iterator[Element]:
        bottom = self._top + HEIGHT
        for value in ticks(self._low, self._high):
            y = self._y(value)
            yield Element("path", class_="grid", d=f"M{LEFT} {number(y)}H{RIGHT}")
            yield Element("text", f"{value:,.10g}", x=LEFT - 8, y=y + 4, class_="time")
        for value in ticks(self._begin / _SECOND, self._end / _SECOND):
            x = self._x(int(value * _SECOND))
            yield Element("path", class_="grid", d=f"M{number(x)} {self._top}V{bottom}")
            yield Element("text", f"{value:,.10g}", x=x, y=bottom + 16, class_="dim mono mid")
        yield Element("path", class_="frame", d=f"M{LEFT} {self._top}V{bottom}H{RIGHT}")
        yield Element("text", unit, x=LEFT - 8, y=self._top - 8, class_="dim end")
        yield Element("text", time, x=RIGHT, y=bottom + 34, class_="dim end")

    def _x(self, time: int) -> float:
        return LEFT + (time - self._begin) / (self._end - self._begin) * (RIGHT - LEFT)

    def _y(self, value: float) -> float:
        return self._top + HEIGHT - (value - self._low) / (self._high - self._low) * HEIGHT

    def _path(self, curve: Curve) -> str:
        if curve.shape == "bars":
            pairs = zip(curve.times, curve.values, curve.tops, strict=True)
            marks = (
                f"M{number(self._x(time))} {number(self._y(low or 0) + 0.5)}V{number(self._y(high) - 0.5)}"
                for time, low, high in pairs
            )
            return "".join(dict.fromkeys(marks))  # bars of one place are drawn once
        if curve.shape == "points":
            places = zip(curve.times, curve.values, strict=True)
            marks = (
                _mark(round(self._x(time) * 2) / 2, round(self._y(value) * 2) / 2)
                for time, value in places
                if value is not None
            )
            return "".join(dict.fromkeys(marks))
        return self._line(curve)

    def _line(self, curve: Curve) -> str:
        """A line of steps or straight pieces; in each column of half a pixel at most four of its points."""
        out: list[str] = []
        pen = False
        for column in self._columns(curve):
            for x, y in column:
                if y is None:
                    if pen and curve.shape == "steps":
                        out.append(f"H{number(x)}")
                    pen = False
                elif not pen:
                    out.append(f"M{number(x)} {number(y)}")
                    pen = True
                else:
                    out.append(f"H{number(x)}V{number(y)}" if curve.shape == "steps" else f"L{number(x)} {number(y)}")
        if pen and curve.shape == "steps":
            out.append(f"H{number(self._x(self._end))}")
        return "".join(out)

    def _columns(self, curve: Curve) -> Iterator[list[tuple[float, float | None]]]:
        """The points by columns of half a pixel; of many in one, the first, the lowest, the highest and the last."""
        column: list[tuple[float, float | None]] = []
        for time, value in zip(curve.times, curve.values, strict=True):
            x, y = self._x(time), None if value is None else self._y(value)
            if column and int(x * 2) != int(column[0][0] * 2):
                yield _thinned(column)
                column = []
            column.append((x, y))
        if column:
            yield _thinned(column)


def _thinned(column: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    if len(column) <= 4 or any(y is None for _, y in column):
        return column
    places = {0, len(column) - 1}
    heights = [y or 0.0 for _, y in column]
    places |= {heights.index(min(heights)), heights.index(max(heights))}
    return [column[place] for place in sorted(places)]


def _mark(x: float, y: float) -> str:
    return f"M{number(x - 2.5)} {number(y - 2.5)}l5 5m0-5l-5 5"
