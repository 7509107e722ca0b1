"""Pictures: well-formed, with text as text, and the same structure on both axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.lines import Row, WaitRow, ladder
from handshake_lab.report.svg import axes, diagram_svg, ladder_svg
from handshake_lab.report.svg.diagram_layout import ARROWS
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.diagram.lookup import EDGES
from report_records import ALL, CLEVER, MS, SECOND, Story, clever, lost_syn_ack, normal, orphan

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record

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

    assert re.search(r'<g class="cut off" data-time="class:cut"><path [^>]*/><text [^>]*>90 ms</text></g>', page)
    assert "90 ms" in ladder_svg.picture(drawn, words(), "time")


def test_a_wait_stands_in_the_middle_of_its_gap() -> None:
    """On the time axis as on the other: as far from what was before as from what ended it."""
    drawn = ladder(connections(lost_syn_ack())[0])
    place = next(number for number, line in enumerate(drawn.lines) if isinstance(line, WaitRow))

    for axis in (axes.sequence(drawn), axes.time(drawn, [False] * len(drawn.lines))):
        before, here, after = axis.ys[place - 1 : place + 2]
        assert here - before == after - here == axes.BAND
