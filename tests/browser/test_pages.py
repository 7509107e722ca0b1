"""Pages work with mouse, keyboard, filters, print and small screens, and make no requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from handshake_lab.report.html.page import page
from report_records import ALL, CLEVER, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / ".axe" / "package" / "axe.min.js"

_SHAPE = """
[...document.querySelectorAll('svg.wide *')]
  .map(e => ['x', 'y', 'y1', 'y2', 'd', 'transform', 'points'].map(n => e.getAttribute(n))).join()
"""

_KINDS = ["failing-en", "index", *(f"{name}-{lang}" for name in ALL for lang in ("en", "ko"))]


@pytest.mark.parametrize("name", _KINDS)
def test_page_opens_quietly(visit: Callable[..., Page], name: str) -> None:
    """No message on the console, no error, no request; the fixture checks it."""
    tab = visit(name)

    assert tab.title()
    assert tab.is_visible("h1")


@pytest.mark.parametrize("number", range(len(CLEVER)))
def test_recorded_text_does_nothing(visit: Callable[..., Page], number: int) -> None:
    """Markup, scripts and very long lines from a run are shown as text."""
    tab = visit(f"clever{number}-en")

    assert tab.title() != "owned"
    assert tab.locator("img, iframe").count() == 0
    assert tab.evaluate("document.scripts.length") == 1
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_pointing_at_a_segment_tells_its_fields_and_what_it_caused(visit: Callable[..., Page]) -> None:
    """The panel has the row of the table, and the transition lights up with it."""
    tab = visit("normal-en")
    tab.hover("svg.wide [data-ref=p2] .label")
    panel = tab.inner_text("#panel")

    assert "#2 SYN-ACK" in panel
    assert "0.110000000" in panel
    assert "h1: SYN-SENT → ESTABLISHED" in panel
    assert "on" in (tab.get_attribute("svg.wide .change[data-ref=t0-1]", "class") or "").split()


def test_pointing_at_a_state_tells_witnesses_cause_and_section(visit: Callable[..., Page]) -> None:
    """And its segment lights up."""
    tab = visit("normal-en")
    tab.hover("svg.wide [data-ref=t0-1] .name")
    panel = tab.inner_text("#panel")

    assert "SYN-SENT → ESTABLISHED" in panel
    assert "received SYN-ACK #2" in panel
    assert "tracepoint, diag" in panel
    assert "on" in (tab.get_attribute("svg.wide .segment[data-ref=p2]", "class") or "").split()


def test_disagreement_can_be_seen_and_read(visit: Callable[..., Page]) -> None:
    """A mark in the ladder, the words in the table."""
    tab = visit("orphan-en")

    assert "!" in (tab.text_content("svg.wide .objected .name") or "")
    assert "the tracepoint also reports CLOSED" in tab.inner_text("main")


def test_keyboard_reaches_everything_in_a_ladder(visit: Callable[..., Page]) -> None:
    """One tab stop; arrows, Home and End move; Enter pins; Escape lets go."""
    tab = visit("normal-en")
    stops = tab.locator("svg.wide [data-at]")
    assert tab.locator("svg.wide [tabindex='0']").count() == 1
    tab.focus("svg.wide [tabindex='0']")
    reached = [tab.evaluate("document.activeElement.dataset.ref")]
    for _ in range(stops.count() - 1):
        tab.keyboard.press("ArrowDown")
        reached.append(tab.evaluate("document.activeElement.dataset.ref"))

    assert len(set(reached)) == stops.count()
    times = tab.evaluate("all => all.map(ref => document.getElementById(ref).cells[1].textContent)", reached)
    assert [float(time) for time in times] == sorted(float(time) for time in times)
    tab.keyboard.press("Home")
    assert tab.evaluate("document.activeElement.dataset.ref") == reached[0]
    assert "CLOSED → LISTEN" in tab.inner_text("#panel h2")
    tab.keyboard.press("Enter")
    tab.hover("svg.wide [data-ref=p9] .label")
    assert "CLOSED → LISTEN" in tab.inner_text("#panel h2")
    tab.keyboard.press("Escape")
    tab.hover("svg.wide [data-ref=p8] .label")
    assert "#8" in tab.inner_text("#panel h2")


def test_axis_switches_and_switches_back(visit: Callable[..., Page]) -> None:
    """The drawing changes, and changes back exactly."""
    tab = visit("simultaneous_close-en")
    before = tab.evaluate(_SHAPE)
    tab.check("input[value=time]")
    by_time = tab.evaluate(_SHAPE)
    tab.check("input[value=sequence]")

    assert by_time != before
    assert tab.evaluate(_SHAPE) == before


def test_filter_by_connection_and_host(visit: Callable[..., Page]) -> None:
    """Only selected connections are shown and counted, and the diagram is updated."""
    tab = visit("many-en")
    shown = tab.locator("section.connection:visible")
    assert shown.count() == 20
    tab.select_option("[data-filter=connection]", "3")
    assert shown.count() == 1
    assert shown.get_attribute("id") == "c3"
    assert tab.inner_text("#shown") == "1 connections shown"
    tab.select_option("[data-filter=connection]", "")
    tab.select_option("[data-filter=host]", label="h2")
    assert shown.count() == 20


def test_diagram_follows_the_filter(visit: Callable[..., Page]) -> None:
    """Edges that only hidden connections took are no longer marked."""
    tab = visit("many-en")
    taken = tab.locator(".diagram .edge[data-edge].by-left, .diagram .edge[data-edge].by-right")
    before = taken.count()
    tab.evaluate("document.querySelector('#c3').dataset.edges = JSON.stringify({left: ['CLOSED>SYN-SENT'], right: []})")
    tab.select_option("[data-filter=connection]", "3")

    assert before > 10
    assert taken.count() == 1


def test_failing_page_shows_at_a_glance_where_things_part(visit: Callable[..., Page]) -> None:
    """Visible without scrolling: the verdict, both lists of states, and the state that was not reached."""
    tab = visit("failing-en")
    box = tab.locator("section.note", has_text="first difference from the expected states").bounding_box()

    assert box is not None
    assert box["y"] + box["height"] < 900
    assert tab.locator(".compare .chip.no", has_text="TIME-WAIT").is_visible()
    assert tab.locator("svg.wide .parts").count() == 1


_CUT = """
[...document.querySelectorAll('table, svg, pre')].filter(each => each.getClientRects().length).filter(each => {
  const box = each.getBoundingClientRect();
  const frame = each.closest('.scroll') ?? document.documentElement;
  return box.right > frame.getBoundingClientRect().right + 1 || each.scrollWidth > each.clientWidth + 1;
}).map(each => each.outerHTML.slice(0, 80))
"""
_OPEN = "document.querySelectorAll('details').forEach(each => { each.open = true })"


@pytest.mark.parametrize("name", [f"{name}-{lang}" for name in [*ALL, "failing"] for lang in ("en", "ko")][:-1])
@pytest.mark.parametrize("media", ["screen", "print"])
def test_no_column_is_cut(visit: Callable[..., Page], name: str, media: Literal["screen", "print"]) -> None:
    """Neither on a usual screen nor on paper (A4 without its margins)."""
    tab = visit(name, width=1280 if media == "screen" else 718)
    tab.emulate_media(media=media)
    tab.evaluate(_OPEN)

    assert tab.evaluate(_CUT) == []


def test_twenty_connections_need_little_more_than_twenty_pages(visit: Callable[..., Page], tmp_path: Path) -> None:
    """Each connection about one, with its ladder and all of its tables."""
    tab = visit("many-en")
    tab.pdf(path=tmp_path / "page.pdf", format="A4")

    assert tab.locator("section.connection").count() == 20
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") <= 28


@pytest.mark.parametrize("width", [360, 375, 430, 700])
@pytest.mark.parametrize("name", ["normal-en", "failing-en", "bulk-ko", "lost_syn_ack-ko"])
def test_phone_shows_both_lanes(visit: Callable[..., Page], name: str, width: int) -> None:
    """Without scrolling sideways: both lanes with their states, and text that is large enough."""
    tab = visit(name, width=width, height=700, has_touch=True, is_mobile=True, device_scale_factor=2)
    drawing = tab.locator("svg.narrow").first
    boxes = drawing.evaluate("svg => [...svg.querySelectorAll('.bar, text')].map(e => e.getBoundingClientRect())")
    small = drawing.evaluate(
        "svg => Math.min(...[...svg.querySelectorAll('text')].map("
        "t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"
    )

    assert not tab.locator("svg.wide").first.is_visible()
    assert all(box["left"] >= 0 and box["right"] <= width for box in boxes)
    assert small >= 9


@pytest.mark.parametrize("name", ["normal-en", "failing-en", "bulk-ko", "index"])
def test_phone_shows_all_without_sideways_scrolling(visit: Callable[..., Page], name: str) -> None:
    """The page is as wide as the phone; wide tables scroll inside their frames; text stays large enough."""
    tab = visit(name, width=375, height=700, has_touch=True, is_mobile=True, device_scale_factor=2)

    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    assert tab.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16


def test_phone_opens_details_as_a_sheet(visit: Callable[..., Page]) -> None:
    """Tapping an arrow brings the panel up from below, and it can be closed."""
    tab = visit("normal-en", width=375, height=700, has_touch=True, is_mobile=True)
    assert not tab.is_visible("#panel")
    tab.tap("svg.narrow [data-ref=p1] .label")
    assert tab.is_visible("#panel")
    tab.click("#panel button")
    assert not tab.is_visible("#panel")


def test_paper_has_everything_and_no_controls(visit: Callable[..., Page], tmp_path: Path) -> None:
    """Printing opens what is folded and leaves out what can only be clicked."""
    tab = visit("normal-en")
    tab.pdf(path=tmp_path / "page.pdf")
    tab.emulate_media(media="print")

    assert (tmp_path / "page.pdf").stat().st_size > 20_000
    assert not tab.is_visible(".controls")
    assert not tab.is_visible("#panel")
    assert tab.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")


def test_index_filters_and_leads_to_pages(visit: Callable[..., Page]) -> None:
    """Words and outcome narrow the list; a name opens its page, from which there is a way back."""
    tab = visit("index")
    rows = tab.locator("#runs tbody tr:visible")
    assert rows.count() == 99
    tab.select_option("#outcome", "failed")
    assert rows.count() == 1
    tab.select_option("#outcome", "")
    tab.fill("#search", "simultaneous")
    assert rows.count() == 1
    tab.click("#runs tbody tr:visible a")
    assert "test_simultaneous_close" in tab.title()
    tab.click("text=All runs")
    assert tab.title() == "session"


def test_index_opens_at_once(visit: Callable[..., Page]) -> None:
    """Showing a session of a hundred tests costs the page's thread less than a second of processor time."""
    tab = visit("index")
    client = tab.context.new_cdp_session(tab)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.reload()
    metrics = {each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]}

    assert 0 < metrics["TaskDuration"] < 1


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "name", ["normal-en", "failing-en", "orphan-ko", "many-en", "index", "bulk-en", "transfer-ko", "difference-en"]
)
def test_axe_finds_no_serious_barrier(visit: Callable[..., Page], name: str, dark: bool) -> None:
    """axe-core's serious and critical findings: none."""
    if not AXE.exists():
        pytest.fail("axe-core is not there. Set up with tests/browser/setup", pytrace=False)
    tab = visit(name, dark=dark, bypass_csp=True)
    tab.evaluate(AXE.read_text("utf-8"))
    found = tab.evaluate("axe.run()")
    serious = [
        (finding["id"], finding["nodes"][0]["html"][:200], finding["nodes"][0]["failureSummary"])
        for finding in found["violations"]
        if finding["impact"] in ("serious", "critical")
    ]

    assert serious == []


_NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

_COLOURED = """
(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) seen.add(data.slice(i, i + 3).join());
  return [...seen];
}
"""


@pytest.mark.parametrize("dark", [False, True])
def test_plots_are_drawn_in_their_colours(visit: Callable[..., Page], dark: bool) -> None:
    """Data, acknowledgments and the axes; in both schemes."""
    tab = visit("bulk-en", dark=dark)
    drawn = tab.eval_on_selector("[data-kind=sequence] canvas", _COLOURED)
    wanted = tab.evaluate(
        "['--left', '--data'].map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    )

    for colour in wanted:
        assert ",".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5)) in drawn


def test_plots_zoom_together(visit: Callable[..., Page]) -> None:
    """By dragging, and back by a double click or from the keyboard."""
    tab = visit("bulk-en")
    labels = "[...drawn[0].u.axes[0]._splits]"
    whole = tab.evaluate(labels)
    tab.locator("[data-kind=sequence] .u-over").scroll_into_view_if_needed()
    box = tab.locator("[data-kind=sequence] .u-over").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 100, box["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 160, box["y"] + 60, steps=3)
    tab.mouse.up()
    tab.check("input[name=plot][value=inflight]")
    first, second = tab.evaluate("drawn.map(({ u }) => [u.scales.x.min, u.scales.x.max])")
    assert first == second
    assert tab.evaluate("plotData.range[1] - plotData.range[0]") > 5 * (first[1] - first[0])
    tab.focus("[data-kind=inflight] .frame")
    tab.keyboard.press("Home")
    tab.check("input[name=plot][value=sequence]")
    tab.evaluate(_NEXT_FRAME)
    assert tab.evaluate(labels) == whole
    tab.focus("[data-kind=sequence] .frame")
    tab.keyboard.press("+")
    tab.keyboard.press("ArrowRight")
    after = tab.evaluate("[drawn[0].u.scales.x.min, drawn[0].u.scales.x.max]")
    assert after[0] > tab.evaluate("plotData.range[0]")


def test_fingers_zoom_with_buttons(visit: Callable[..., Page]) -> None:
    """A phone has neither a wheel nor keys."""
    tab = visit("transfer-ko", width=375, height=700, has_touch=True, is_mobile=True)
    whole = tab.evaluate("shown[1] - shown[0]")
    for key, expected in (("+", 0.5), ("+", 0.25), ("ArrowRight", 0.25), ("-", 0.5), ("Home", 1)):
        tab.tap(f".zoom [data-key='{key}']")
        assert tab.evaluate("shown[1] - shown[0]") == pytest.approx(whole * expected)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_click_on_a_plot_shows_the_segment(visit: Callable[..., Page]) -> None:
    """The one that is nearest to the pointer."""
    tab = visit("bulk-en")
    tab.locator("[data-kind=sequence] .u-over").scroll_into_view_if_needed()
    place = tab.evaluate(
        "(() => { const { u, curves } = drawn[0]; return [u.valToPos(curves[0].t[3], 'x'), "
        "u.valToPos((curves[0].low[3] + curves[0].high[3]) / 2, 'y'), curves[0].segment[3]] })()"
    )
    tab.click("[data-kind=sequence] .u-over", position={"x": place[0], "y": place[1]})

    assert f"#{place[2]:g} " in tab.inner_text("#panel h2")


def test_paper_has_every_plot(visit: Callable[..., Page]) -> None:
    """In the colours of paper; afterwards the chosen one again."""
    tab = visit("bulk-en", dark=True)
    kinds = tab.locator("[data-kind]").count()
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("[data-kind]:visible canvas").count() >= kinds
    drawn = tab.eval_on_selector("[data-kind=sequence] canvas", _COLOURED)
    tab.evaluate("dispatchEvent(new Event('afterprint'))")

    assert "29,95,208" in drawn  # the light scheme's blue
    assert tab.locator("[data-kind]:visible").count() == 1
    assert kinds >= 3


#: Draws a frame for each of 40 steps of a moving timeline.
_SCROLLED = """
(length) => new Promise((done) => {
  let step = 0;
  const next = () => {
    if (++step > 40) return done();
    zoom(1 + step / 50, 1 + length + step / 50);
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})
"""


def test_a_hundred_thousand_segments_are_fluid(browser: Browser, tmp_path: Path) -> None:
    """Less than a second of script before the first picture; a frame of a moving timeline takes less than 16 ms.

    This is processor time of the page's thread: the time between two frames is that of the screen (16.7 ms) on a blank
    page, too, and longer on a busy machine.
    """
    record = transfer(100_000)
    (tmp_path / "large.html").write_text(page(record, title="large"), "utf-8")
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    client = tab.context.new_cdp_session(tab)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent(what: str) -> float:
        found = {each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]}
        return float(found[what])

    tab.goto((tmp_path / "large.html").as_uri())
    tab.evaluate(_NEXT_FRAME)
    first = spent("ScriptDuration")
    tab.locator(".timeline canvas").scroll_into_view_if_needed()
    taken = {}
    for length in (0.4, 4, 9):  # seconds in view: a few, many, and nearly all segments
        before = spent("TaskDuration")
        tab.evaluate(_SCROLLED, length)
        taken[length] = (spent("TaskDuration") - before) / 40
    tab.close()

    assert first < 1
    assert max(taken.values()) < 0.016, taken


def test_a_timeline_shows_what_is_in_flight(visit: Callable[..., Page]) -> None:
    """It moves with the plots; a click shows the header of the nearest arrow; the table lists the segments in view."""
    tab = visit("transfer-en")
    canvas = tab.locator(".timeline canvas")
    canvas.scroll_into_view_if_needed()
    tab.evaluate("zoom(0.2, 0.202)")
    tab.evaluate(_NEXT_FRAME)
    canvas.click(position={"x": 400, "y": 200})
    panel = tab.inner_text("#panel")
    number = panel.partition("#")[2].partition(" ")[0]
    apart = tab.evaluate(
        "(number) => { const { data, lanes, y } = timelines[0]; const i = placeOf(data, number); "
        "const side = data.side[i] === '1' ? 1 : 0; "
        "const part = (400 - lanes[side]) / (lanes[1 - side] - lanes[side]); "
        "return Math.abs(y(data.sent[i] + data.flight[i] * part) - 200) }",
        int(number),
    )

    assert apart < 12
    assert "nop,nop,ts:" in panel
    tab.wait_for_selector("tr[data-segment]:nth-child(101)", state="attached")
    tab.evaluate("document.querySelector('.timeline details').open = true")
    row = tab.locator("tr[data-segment]").nth(3)
    row.click()
    assert f"#{row.get_attribute('data-segment')} " in tab.inner_text("#panel h2")


def test_a_segment_out_of_the_ordinary_is_a_click_away(visit: Callable[..., Page]) -> None:
    """The link at the top shows the lost segment, in the ladder or in the timeline."""
    tab = visit("lost_syn_ack-en")
    tab.click(".unusual a")
    assert "#2 SYN-ACK" in tab.inner_text("#panel h2")
    assert "on" in (tab.get_attribute("svg.ladder [data-ref=p2]", "class") or "").split()
    tab = visit("transfer-en")
    tab.click(".unusual a")
    assert "lost" in tab.inner_text("#panel")
    assert tab.evaluate("shown[1] - shown[0]") < 0.2


def test_connections_are_found_by_words(visit: Callable[..., Page]) -> None:
    """A row and its ladder are hidden unless all words are in the row."""
    tab = visit("many-en")
    every = tab.locator("tr[data-connection]:visible").count()
    tab.fill("input[data-filter=text]", tab.locator("tr[data-connection] td:nth-child(2)").last.inner_text())

    assert 0 < tab.locator("tr[data-connection]:visible").count() < every
    tab.fill("input[data-filter=text]", "nothing like this")
    assert tab.locator("section.connection:visible").count() == 0
