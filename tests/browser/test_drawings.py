"""Drawings are legible: no text overlaps another, is cut off, or is missing."""

from __future__ import annotations

import math
import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.report.html.run_pages import find, write
from report_records import ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

_BOXES = (Path(__file__).parent / "boxes.js").read_text("utf-8").partition("\n")[2]

Corners = list[list[float]]


def _overlap(one: Corners, other: Corners) -> bool:
    """Whether two rotated rectangles overlap: no side of either separates them."""
    for corners in (one, other):
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            normal = (y2 - y1, x1 - x2)
            length = math.hypot(*normal) or 1.0
            spans = []
            for each in (one, other):
                along = [(x * normal[0] + y * normal[1]) / length for x, y in each]
                spans.append((min(along), max(along)))
            if spans[0][1] <= spans[1][0] or spans[1][1] <= spans[0][0]:
                return False
    return True


def _problems(tab: Page, selector: str) -> list[str]:
    found = []
    for drawing in tab.query_selector_all(selector):
        measured = drawing.evaluate(_BOXES)
        left, top, width, height = measured["view"]
        assert len(measured["boxes"]) > 6  # both lanes' heads
        for text, _, corners in measured["boxes"]:
            if "…" in text:
                found.append(f"shortened: {text}")
            if any(not (left <= x <= left + width and top <= y <= top + height) for x, y in corners):
                found.append(f"cut: {text}")
        for (text, _, one), (other_text, _, other) in combinations(measured["boxes"], 2):
            if _overlap(one, other):
                found.append(f"overlap: {text!r} and {other_text!r}")
    return found


@pytest.mark.parametrize("axis", ["sequence", "time"])
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ALL)
def test_no_text_of_a_ladder_is_covered_or_cut(visit: Callable[..., Page], name: str, lang: str, axis: str) -> None:
    """On both axes, in both languages."""
    tab = visit(f"{name}-{lang}")
    tab.check(f"input[value={axis}]")

    assert _problems(tab, "svg.wide") == []


@pytest.mark.parametrize("axis", ["sequence", "time"])
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ALL)
def test_no_text_of_a_ladder_on_a_phone_is_covered_or_cut(
    visit: Callable[..., Page], name: str, lang: str, axis: str
) -> None:
    """The same for the narrow drawing."""
    tab = visit(f"{name}-{lang}", width=375, height=700, has_touch=True, is_mobile=True, device_scale_factor=2)
    tab.check(f"input[value={axis}]")

    assert _problems(tab, "svg.narrow") == []


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.skipif("HANDSHAKE_RUNS" not in os.environ, reason="HANDSHAKE_RUNS names no folder of recorded runs")
def test_no_text_of_recorded_runs_is_covered_or_cut(browser: Browser, tmp_path: Path, lang: str) -> None:
    """The same for every real run under HANDSHAKE_RUNS, such as the artifacts of the scenarios."""
    write(find(Path(os.environ["HANDSHAKE_RUNS"])), tmp_path, title="runs", lang=lang)
    tab = browser.new_page()
    problems = {}
    for file in sorted(tmp_path.glob("[0-9]*.html")):
        tab.goto(file.as_uri())
        found = _problems(tab, "svg.diagram")
        for width, drawing in ((1280, "svg.wide"), (375, "svg.narrow")):
            tab.set_viewport_size({"width": width, "height": 900})
            for axis in ("sequence", "time"):
                tab.check(f"input[value={axis}]")
                found += _problems(tab, drawing)
        if found:
            problems[file.name] = found
    tab.close()

    assert problems == {}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ["normal", "orphan"])
def test_no_text_of_the_diagram_is_covered_or_cut(visit: Callable[..., Page], name: str, lang: str) -> None:
    """The figure's texts overlap neither each other nor the boxes."""
    assert _problems(visit(f"{name}-{lang}"), "svg.diagram") == []


@pytest.mark.parametrize("axis", ["sequence", "time"])
def test_arrows_run_from_lane_to_lane_and_downwards(visit: Callable[..., Page], axis: str) -> None:
    """A segment that arrives ends at the other lane, later than it left, in the order of its number."""
    tab = visit("normal-en")
    tab.check(f"input[value={axis}]")
    arrows = tab.eval_on_selector_all(
        "svg.wide .segment .arrow", "all => all.map(a => ['x1','y1','x2','y2'].map(n => +a.getAttribute(n)))"
    )
    starts = [y1 for _, y1, _, _ in arrows]

    assert len(arrows) == 9
    assert all(abs(x2 - x1) > 400 and y2 > y1 for x1, y1, x2, y2 in arrows)
    assert sorted(starts) == starts


def test_states_stand_down_their_lanes_in_order(visit: Callable[..., Page]) -> None:
    """Reading a lane from top to bottom gives the endpoint's history."""
    tab = visit("normal-en")
    names = tab.eval_on_selector_all(
        "svg.wide .name.end",
        "all => all.map(t => [t.getBoundingClientRect().top, t.textContent])",
    )

    assert [name for _, name in sorted(names)] == [
        "CLOSED",
        "SYN-SENT",
        "ESTABLISHED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "CLOSED",
    ]


def test_lost_segment_ends_at_the_middle(visit: Callable[..., Page]) -> None:
    """The cross is on the middle lane."""
    tab = visit("lost_syn_ack-en")
    middle = tab.eval_on_selector("svg.wide .middle", "line => line.getBoundingClientRect().x")
    cross = tab.eval_on_selector(
        "svg.wide .cross", "c => { const b = c.getBoundingClientRect(); return b.x + b.width / 2 }"
    )

    assert abs(middle - cross) < 3


@pytest.mark.parametrize("dark", [False, True])
def test_states_have_their_colours(visit: Callable[..., Page], dark: bool) -> None:
    """Each state of a lane is painted in a colour of its own, in both schemes."""
    tab = visit("normal-en", dark=dark)
    colours = tab.eval_on_selector_all("svg.wide .state .bar", "all => all.map(b => getComputedStyle(b).fill)")

    assert len(set(colours)) == 10  # eleven states but CLOSING
