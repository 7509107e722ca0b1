"""Time series: which value each curve has when, from observations that are written by hand."""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.recording.observations import Address, SocketSeen, TcpEvent, TcpInfo, TcpProbe
from handshake_lab.report.export.plot_csv import plot_csv
from handshake_lab.report.export.plot_parquet import plot_parquet
from handshake_lab.report.export.plot_points import PlotPoint
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.series.congestion import ReportsBySocket, round_trip_plot, window_plot
from handshake_lab.report.series.direction import main_direction
from handshake_lab.report.series.plot import KINDS, Points
from handshake_lab.report.series.plots import plots
from handshake_lab.report.series.queue import queue_plots
from handshake_lab.report.series.rates import interval, throughput_plot
from handshake_lab.report.series.sequence import inflight_plot, sequence_plot
from handshake_lab.report.svg.palette import CURVES
from handshake_lab.report.svg.plot_svg import picture, ticks
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.states import State
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from report_records import MS, Story, header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.series.direction import Direction
    from handshake_lab.report.series.plot import Curve, Plot

CLIENT, SERVER = Address("10.0.0.1", 40000), Address("10.0.0.2", 80)
#: A time after all events.
END = 2_000 * MS
NO_THRESHOLD = 0x7FFFFFFF


def reported() -> Story:
    """Three segments of 1000 bytes; the second is lost and sent again."""
    story = Story(links=("s1>h2:delay=50ms",))
    story.change("h1", State.SYN_SENT, 10 * MS, "connect()")
    story.send("h1", "S", 10 * MS)
    story.send("h2", "SA", 60 * MS)
    story.change("h1", State.ESTABLISHED, 110 * MS)
    story.send("h1", "A", 110 * MS)
    for lost in (False, True, False):
        story.send("h1", "A", 120 * MS, length=1000, lost=lost)
    story.send("h2", "A", 170 * MS)  # for the first
    story.send("h2", "A", 171 * MS)
    story.send("h1", "A", 300 * MS, length=1000, again=5)
    story.send("h2", "A", 350 * MS)
    return story


def way() -> Direction:
    """The direction of that story's data."""
    return way_of(reported().record(END))


def way_of(record: Record) -> Direction:
    """The direction of most data in the only connection of a record."""
    (connection,) = connections(record)
    found = main_direction(connection)
    assert found is not None
    return found


def curve(plot: Plot, name: str) -> Curve:
    """A curve by its name."""
    return next(each for each in plot.curves if each.name == name)


def points(plot: Plot, name: str) -> list[tuple[int, float | None]]:
    """A curve's points in milliseconds."""
    found = curve(plot, name)
    return [(time // MS, value) for time, value in zip(found.times, found.values, strict=True)]


def probe(t: int, since: int, cwnd: int, *, srtt: int = 100_000, ssthresh: int = NO_THRESHOLD) -> TcpProbe:
    """What tcp_probe reports of the client; times in milliseconds."""
    return TcpProbe(t * MS, since * MS, CLIENT, SERVER, cwnd, ssthresh, srtt, 65535)


def poll(t: int, cwnd: int, *, rto: int = 300_000, rtt: int = 100_000) -> SocketSeen:
    """What a poll reports of the client."""
    info = TcpInfo(snd_cwnd=cwnd, rto=rto, rtt=rtt)
    return SocketSeen(t * MS, 0, "h1", 7, State.ESTABLISHED, CLIENT, SERVER, info=info)


def again(t: int) -> TcpEvent:
    """The client retransmits."""
    return TcpEvent(t * MS, "tcp_retransmit_skb", CLIENT, SERVER)


def test_the_sequence_plot_has_data_retransmissions_and_acknowledgments() -> None:
    """Data when it is sent, from its first to its last byte; acknowledgments when they arrive."""
    plot = sequence_plot(way())
    data, second = curve(plot, "data"), curve(plot, "retransmission")

    assert list(zip(data.values, data.tops, data.segments, strict=True)) == [
        (1, 1001, 4),
        (1001, 2001, 5),
        (2001, 3001, 6),
    ]
    assert (second.times, second.values, second.tops, second.segments) == ((300 * MS,), (1001,), (2001,), (9,))
    assert points(plot, "lost") == [(120, 2001)]
    assert points(plot, "ack")[0] == (110, 1)
    assert points(plot, "ack")[-1][0] in (220, 400)


def test_sack_blocks_count_from_the_syn() -> None:
    """The edges in the option are absolute."""
    record = reported().record(END)
    last = record.segments[-1]
    # The story's SYN has the sequence number 1000, and its ACKs count the other side's from 5000.
    block = b"\x01\x01\x05\x0a" + (5000 + 2001).to_bytes(4, "big") + (5000 + 3001).to_bytes(4, "big") + b"\x01\x01"
    changed = replace(record, segments=(*record.segments[:-1], replace(last, raw_options=block)))
    sack = curve(sequence_plot(way_of(changed)), "sack")

    assert (sack.values, sack.tops) == ((2001,), (3001,))


def test_bytes_in_flight_are_sent_and_not_acknowledged() -> None:
    """All three leave at once; never less than nothing."""
    flight = curve(inflight_plot(way()), "inflight")

    assert flight.at(121 * MS) == 3000
    assert min(value for value in flight.values if value is not None) >= 0


def test_goodput_does_not_count_bytes_that_have_arrived_before() -> None:
    """The same segment twice: throughput counts both."""
    story = reported()
    story.send("h1", "A", 600 * MS, length=1000, again=5)
    plot = throughput_plot(way_of(story.record(END)))
    carried = {}
    for each in plot.curves:
        width = each.times[1] - each.times[0] if len(each.times) > 1 else 1
        ends = (*each.times[1:], each.times[-1] + width)
        areas = zip(each.times, ends, each.values, strict=True)
        carried[each.name] = sum((end - begin) * (value or 0) / 8000 for begin, end, value in areas)

    assert carried == {"throughput": pytest.approx(4000), "goodput": pytest.approx(3000)}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=30))
def test_bytes_are_new_once(ranges: list[tuple[int, int]]) -> None:
    """Against a set of bytes."""
    from handshake_lab.report.series.rates import _Held

    held = _Held()
    known: set[int] = set()
    for start, length in ranges:
        fresh = set(range(start, start + length)) - known
        known |= fresh
        assert held.add(start, start + length) == len(fresh)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 1_000_000), (100 * MS, 1 * MS), (101 * MS, 2 * MS), (900 * MS, 10 * MS), (2_000 * MS, 20 * MS)],
)
def test_intervals_are_round(length: int, expected: int) -> None:
    """1, 2 or 5 times a power of ten, at most a hundred of them."""
    assert interval(length) == expected


def test_a_reported_window_began_with_the_arrival_before() -> None:
    """tcp_probe shows what a socket has before the segment is processed."""
    reports = ReportsBySocket([probe(170, 0, 10), probe(220, 170, 11), probe(221, 220, 12)])
    plot = window_plot(way(), reports.of(way()))

    assert points(plot, "cwnd") == [(10, 10), (170, 11), (220, 12)]
    assert points(plot, "ssthresh") == [(10, None)]


def test_a_window_after_a_timeout_begins_with_the_timeout() -> None:
    """Between the arrival and the timer's expiry it was another."""
    seen: list[Observation] = [probe(170, 0, 10), again(300), probe(400, 170, 1, ssthresh=5)]
    plot = window_plot(way(), ReportsBySocket(seen).of(way()))

    assert points(plot, "cwnd") == [(10, 10), (300, 1)]
    assert points(plot, "ssthresh") == [(10, None), (300, 5)]


def test_polls_and_probes_are_joined() -> None:
    """A poll has the value from the arrival before; a different one later is drawn from when it was seen."""
    seen: list[Observation] = [probe(170, 0, 10), poll(180, 11), poll(250, 9), probe(400, 170, 9), poll(500, 8)]
    plot = window_plot(way(), ReportsBySocket(seen).of(way()))

    assert points(plot, "cwnd") == [(10, 10), (170, 11), (250, 9), (500, 8)]
    assert points(plot, "polled") == [(180, 11), (250, 9), (500, 8)]


def test_polls_alone_are_a_curve() -> None:
    """A recording without curves."""
    plot = window_plot(way(), ReportsBySocket([poll(180, 11), poll(250, 9)]).of(way()))

    assert points(plot, "cwnd") == [(180, 11), (250, 9)]


def test_reports_of_other_sockets_do_not_count() -> None:
    """Neither those of another address nor of another cookie."""
    other: list[Observation] = [
        replace(probe(170, 0, 77), local=Address("10.0.0.1", 1)),
        replace(poll(180, 78), cookie=1),
    ]
    plot = window_plot(way(), ReportsBySocket(other).of(way()))

    assert points(plot, "cwnd") == []


def test_round_trips_are_measured_of_segments_that_were_sent_once() -> None:
    """Karn's algorithm; the retransmission timeout is drawn when there is a measurement."""
    seen: list[Observation] = [
        poll(50, 10, rto=1_000_000, rtt=0),
        probe(220, 0, 10, srtt=0),
        probe(230, 220, 10),
        poll(240, 10),
    ]
    plot = round_trip_plot(way(), ReportsBySocket(seen).of(way()))

    assert points(plot, "measured")[0] == (110, 100)
    assert 5 not in curve(plot, "measured").segments
    assert points(plot, "srtt")[-1] == (220, 100)
    assert points(plot, "rto") == [(50, None), (240, 300)]


def test_timeouts_are_those_of_probes_and_polls() -> None:
    """A probe has the timeout after its segment; before the first measurement there is none."""
    timed = replace(probe(220, 170, 11), rto=280_000)
    reports = ReportsBySocket([poll(100, 10, rtt=0), poll(170, 10), timed]).of(way())

    assert points(round_trip_plot(way(), reports), "rto") == [(100, None), (170, 300), (220, 280)]


def test_a_queue_holds_what_has_left_and_not_arrived() -> None:
    """The lost segment is not in it; the other direction's link is not impaired."""
    (plot,) = queue_plots(reported().record(END))

    assert (plot.sender, plot.receiver, plot.connection) == ("s1", "h2", 0)
    assert points(plot, "queue")[:6] == [(10, 1), (60, 0), (110, 1), (120, 3), (160, 2), (170, 0)]


def test_a_queue_in_the_middle_of_a_known_topology() -> None:
    """The path says which segments cross it; of an unknown one only the links of the ends are known."""
    record = reported().record(END)
    dumbbell = replace(record, header=header(("s1>s2:rate=1mbit", "s2>s1:rate=1mbit"), topology="dumbbell"))
    unknown = replace(record, header=header(("s1>s2:rate=1mbit",), topology="/nowhere/topology.py"))
    renamed = tuple(
        replace(each, sender={"h1": "h1", "h2": "h3"}[each.sender], receiver={"h1": "h1", "h2": "h3"}[each.receiver])
        for each in record.segments
    )
    found = queue_plots(replace(dumbbell, segments=renamed))

    assert {(plot.sender, plot.receiver) for plot in found} <= {("s1", "s2"), ("s2", "s1")}
    assert queue_plots(unknown) == []


def test_links_that_the_same_segments_cross_have_one_plot() -> None:
    """The captures do not show in which queue a segment is."""
    record = reported().record(END)
    both = queue_plots(replace(record, header=header(("h1>s1:delay=25ms", "s1>h2:delay=25ms", "s1>h1:delay=1ms"))))

    assert [(plot.sender, plot.receiver) for plot in both] == [("h1>s1, s1>h2", ""), ("s1", "h1")]
    assert both[0].curves == queue_plots(record)[0].curves
    svg = picture(both[:1], words("en"))
    assert "Queue: links h1&gt;s1, s1&gt;h2" in svg


def test_steps_omit_points_that_change_nothing() -> None:
    """And of one time the last one counts."""
    steps = Points("cwnd", "steps")
    for time, value in ((1, 5.0), (2, 5.0), (3, 6.0), (3, 7.0), (4, None)):
        steps.add(time, value)
    found = steps.curve()

    assert (found.times, found.values) == ((1, 3, 4), (5.0, 7.0, None))
    assert [found.at(time) for time in (0, 1, 2, 3, 9)] == [None, 5, 5, 7, None]


def everything() -> tuple[Record, Sequence[Observation]]:
    """A run of which every kind can be drawn."""
    return reported().record(END), [probe(170, 0, 10), probe(220, 170, 11, ssthresh=7), poll(240, 10)]


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_and_written(kind: Any, lang: str) -> None:
    """A picture that is XML, with a heading and a legend; a table with a line for each point."""
    record, seen = everything()
    drawn = plots(record, seen, [kind])
    svg = picture(drawn, words(lang))
    root = ET.fromstring(svg.partition("\n")[2])  # noqa: S314 - our own
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    rows = list(csv.DictReader(io.StringIO(plot_csv(drawn))))

    assert len(drawn) == 1
    for each in drawn[0].curves:
        assert (words(lang)(f"curve.{each.name}") in texts) == bool(each.times)
    assert words(lang)(f"plot_unit.{kind}") in texts
    assert tuple(rows[0]) == PlotPoint._fields
    assert len(rows) == sum(len(each.times) for each in drawn[0].curves)
    assert not re.search(r"nan|inf\b|None", svg)


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_has_the_lines_of_the_csv(kind: Any, tmp_path: Path) -> None:
    """With types: numbers, and nothing where the CSV is empty."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (pip install pyarrow)")
    record, seen = everything()
    drawn = plots(record, seen, [kind])
    plot_parquet(drawn, tmp_path / "points.parquet")
    rows = parquet.read_table(tmp_path / "points.parquet").to_pylist()
    expected = list(csv.DictReader(io.StringIO(plot_csv(drawn))))

    assert len(rows) == len(expected)
    for row, line in zip(rows, expected, strict=True):
        assert tuple(row) == tuple(line)
        for name, value in row.items():
            if value is None:
                assert line[name] == ""
            elif isinstance(value, float):
                assert value == pytest.approx(float(line[name]), rel=1e-9)
            else:
                assert str(value) == line[name]
            assert isinstance(value, {"connection": int, "segment": int}.get(name, str | float) | None)


def test_without_pyarrow_parquet_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error has the command that installs it; no file is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    record, seen = everything()

    with pytest.raises(EnvironmentUnsupported, match="pip install pyarrow"):
        plot_parquet(plots(record, seen, ["cwnd"]), tmp_path / "points.parquet")
    assert list(tmp_path.iterdir()) == []


def test_every_curve_has_a_colour_and_a_name() -> None:
    """In both languages."""
    names = {key.removeprefix("curve.") for key in words("en").keys if key.startswith("curve.")}

    assert set(CURVES) == names


def test_only_the_chosen_connection_is_drawn() -> None:
    """By its number; links are not concerned."""
    record, seen = everything()

    assert plots(record, seen, ["cwnd"], 2) == []
    assert plots(record, seen, ["cwnd"], 1) == plots(record, seen, ["cwnd"])
    assert plots(record, seen, ["queue"], 2) != []


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_inside_and_few(low: float, size: float) -> None:
    """At least one for any range that a number can distinguish."""
    high = low + size
    found = ticks(low, high)

    assert len(found) <= 8
    assert all(low - 1e-6 * size <= each <= high + 1e-6 * size or abs(each) < 1e-9 for each in found)


def test_many_points_of_one_place_are_drawn_once() -> None:
    """A hundred thousand points do not make a picture of ten megabytes."""
    story = Story()
    story.change("h1", State.ESTABLISHED, 5 * MS, old=State.SYN_SENT)
    story.send("h1", "S", 10 * MS)
    for place in range(3000):
        story.send("h1", "A", 20 * MS + place * 1000, length=1000)
    svg = picture([sequence_plot(way_of(story.record(END)))], words("en"))

    assert len(svg) < 120_000
