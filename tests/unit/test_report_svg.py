"""Pictures: well-formed, with text as text, and the same structure on both axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.recording.messages import sentence
from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.lines import NoEffectRow, Row, WaitRow, ladder
from handshake_lab.report.svg import axes, diagram_svg, ladder_svg
from handshake_lab.report.svg.captions import captions
from handshake_lab.report.svg.diagram_layout import ARROWS
from handshake_lab.report.svg.geometry import NARROW, WIDE
from handshake_lab.report.svg.ladder_svg import Drawing
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.diagram.lookup import EDGES
from msgspec.structs import replace
from report_records import ALL, CLEVER, MS, SECOND, Story, clever, lost_syn_ack, normal, orphan

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record
    from handshake_lab.report.svg.geometry import Geometry

_NS = "{http://www.w3.org/2000/svg}"


def _picture(record: Record, axis: str = "sequence") -> ET.Element:
    connection = connections(record)[0]
    return ET.fromstring(ladder_svg.picture(ladder(connection, middle(record, connection)), words(), axis))  # noqa: S314 - our own


def _texts(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{_NS}text")]


@pytest.mark.parametrize("axis", ["sequence", "time"])
@pytest.mark.parametrize("name", ALL)
def test_picture_is_well_formed_and_its_text_is_text(name: str, axis: str) -> None:
    """State names and segments can be searched for and copied."""
    texts = _texts(_picture(ALL[name](), axis))

    assert "SYN-SENT" in texts
    assert any(text.startswith("#1 SYN") for text in texts)


def test_both_axes_show_the_same() -> None:
    """Switching the axis moves things and changes nothing else."""
    assert sorted(_texts(_picture(orphan(), "sequence"))) == sorted(_texts(_picture(orphan(), "time")))


def test_equal_times_stand_equally_high_on_the_time_axis() -> None:
    """A reply leaves where its request arrives."""
    drawn = ladder(connections(normal())[0])
    axis = axes.time(drawn, [False] * len(drawn.lines))
    heights: dict[int, set[float]] = {}
    for line, y in zip(drawn.lines, axis.ys, strict=True):
        if isinstance(line, Row):
            heights.setdefault(line.time, set()).add(y)

    assert all(len(ys) == 1 for ys in heights.values())
    assert sorted(axis.ys) == list(axis.ys)


def test_equal_flights_have_equal_slopes_on_the_time_axis() -> None:
    """What takes as long goes as far down."""
    drawn = ladder(connections(normal())[0])
    axis = axes.time(drawn, [False] * len(drawn.lines))
    at = {line.time: y for line, y in zip(drawn.lines, axis.ys, strict=True) if isinstance(line, Row)}
    flights = {round(at[p.received or 0] - at[p.sent or 0], 1) for p in normal().segments}

    assert flights == {float(axes.FLIGHT)}


@pytest.mark.parametrize("geometry", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("axis", ["sequence", "time"])
@pytest.mark.parametrize("name", ALL)
def test_no_arrow_strikes_through_a_text(name: str, axis: str, geometry: Geometry) -> None:
    """Labels and captions are drawn after all arrows, each on a background at least as wide as its text."""
    found = connections(ALL[name]())[0]
    drawing = Drawing(ladder(found), words(), geometry=geometry)
    root = ET.fromstring(str(drawing.on(drawing.sequence if axis == "sequence" else drawing.time)))  # noqa: S314
    elements = list(root.iter())
    last_arrow = max(place for place, each in enumerate(elements) if each.get("class") == "arrow")
    texts = 0
    for group in root.iter("g"):
        behind = next((each for each in group if each.get("class") == "behind"), None)
        for text in group.iter("text"):
            if (text.get("class") or "").split()[0] in ("label", "wait"):
                assert behind is not None
                assert elements.index(text) > elements.index(behind) > last_arrow
                assert float(behind.get("width", 0)) > 5 * len(text.text or "")
                texts += 1

    assert texts >= len(drawing.sequence.ys) // 3


@pytest.mark.parametrize("name", ALL)
def test_the_narrow_drawing_holds_both_lanes(name: str) -> None:
    """Each of its texts is within its width, and that is the width of a phone."""
    assert NARROW.width < 390
    for found in connections(ALL[name]())[:3]:
        narrow = ladder_svg.switchable(ladder(found), words()).partition("</svg>")[2]
        for group in ET.fromstring(narrow).iter("g"):  # noqa: S314 - our own
            shift = re.match(r"translate\(([-\d.]+)", group.get("transform", ""))
            for text in group.iter("text"):
                x = float(text.get("x", 0)) + (float(shift[1]) if shift else 0)
                length = len(text.text or "") * NARROW.character
                anchor = (text.get("class") or "").split()[-1]
                begin = x - {"start": 0.0, "mid": length / 2, "end": length}[anchor]
                assert begin >= -0.5, text.text
                assert begin + length <= NARROW.width + 0.5, text.text


def test_long_captions_are_on_several_lines() -> None:
    """The reason why a segment had no effect is complete, between the lanes, and covers no other line."""
    why = sentence("ignored_request_queue")
    found = connections(lost_syn_ack())[0]
    drawn = ladder(replace(found, ignored={1: why}))
    drawing = Drawing(drawn, words(), geometry=NARROW)
    place = next(number for number, line in enumerate(drawn.lines) if isinstance(line, NoEffectRow))
    lines = captions(drawn, words(), NARROW.caption_room)[place]

    assert " ".join(lines) == f"#1 had no effect: {why}"
    assert max(map(len, lines)) <= NARROW.caption_room
    for axis in (drawing.sequence, drawing.time):
        before, here, after = axis.ys[place - 1 : place + 2]
        assert here - before > NARROW.line * len(lines) / 2 + 4
        assert after - here > NARROW.line * len(lines) / 2 + 4


def test_lost_segment_has_a_cross_and_its_repetition_a_bow() -> None:
    """Both can be seen without reading."""
    classes = [element.get("class") or "" for element in _picture(lost_syn_ack()).iter()]

    assert "mark cross" in classes
    assert classes.count("again") == 2


def test_diagram_has_every_edge_of_figure_5() -> None:
    """The geometry and the diagram as data agree on which edges there are."""
    figure = {
        (edge.old, edge.new)
        for edge in EDGES
        if edge.source == "figure 5" or (edge.source == "a note to figure 5" and edge.in_linux and edge.moves)
    }

    assert figure - set(ARROWS) == set()


def test_taken_path_is_marked_and_the_rest_is_not() -> None:
    """The client's edges and the server's each have their own class."""
    root = ET.fromstring(diagram_svg.picture(connections(normal()), words()))  # noqa: S314 - our own
    edges = {group.get("data-edge"): group.get("class", "") for group in root.iter(f"{_NS}g") if group.get("data-edge")}

    assert "by-left" in edges["FIN-WAIT-2>TIME-WAIT"]
    assert "by-right" in edges["CLOSE-WAIT>LAST-ACK"]
    assert edges["FIN-WAIT-1>CLOSING"] == "edge"


def test_edge_outside_the_figure_is_drawn_too() -> None:
    """An orphan's FIN-WAIT-2 ends in CLOSED, which Figure 5 does not know."""
    root = diagram_svg.picture(connections(orphan()), words())

    assert re.search(r'class="edge by-left extra" data-edge="FIN-WAIT-2&gt;CLOSED"', root)


@pytest.mark.parametrize("nasty", CLEVER)
def test_picture_of_a_nasty_run_is_well_formed(nasty: str) -> None:
    """Nothing recorded becomes an element, and the file stays small."""
    root = _picture(clever(nasty))

    assert not [element for element in root.iter() if element.tag.removeprefix(_NS) in ("script", "img")]
    assert len(ET.tostring(root)) < 60_000


def test_a_cut_in_the_time_axis_tells_how_long_it_is() -> None:
    """What is too short for a line of its own, but longer than it can be drawn to scale."""
    story = Story(delay=10 * MS)
    story.send("h1", "S", 0)
    story.send("h1", "S", 100 * MS)
    drawn = ladder(connections(story.record(SECOND))[0])
    page = ladder_svg.switchable(drawn, words())

    assert re.search(
        r'<g class="cut off" data-time="class:cut"><path [^>]*/><rect [^>]*/><text [^>]*>90 ms</text></g>', page
    )
    assert "90 ms" in ladder_svg.picture(drawn, words(), "time")


def test_a_wait_stands_in_the_middle_of_its_gap() -> None:
    """On the time axis as on the other: as far from what was before as from what ended it."""
    drawn = ladder(connections(lost_syn_ack())[0])
    place = next(number for number, line in enumerate(drawn.lines) if isinstance(line, WaitRow))

    for axis in (axes.sequence(drawn), axes.time(drawn, [False] * len(drawn.lines))):
        before, here, after = axis.ys[place - 1 : place + 2]
        assert here - before == after - here == axes.BAND
