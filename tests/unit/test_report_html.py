"""Pages: self-contained, small, and safe against recorded text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import Address, Failure, FaultReport, Program, QdiscReport, SegmentSeen
from handshake_lab.report.html.index import index, run
from handshake_lab.report.html.page import page
from handshake_lab.report.layout.hops import Hop, hops
from handshake_lab.tcp.states import State
from handshake_lab.verdict.expected_states import Claim, Covered
from handshake_lab.verdict.judge import Finding, Verdict, judge
from msgspec.structs import replace
from recordings import recorded
from report_records import (
    ALL,
    CLEVER,
    bulk,
    clever,
    lost_syn_ack,
    many,
    normal,
    observed,
    orphan,
    seen,
    simultaneous_close,
    transfer,
)

if TYPE_CHECKING:
    from pathlib import Path


class _Parsed(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ALL)
def test_page_loads_nothing(name: str, lang: str) -> None:
    """No address in a page leads anywhere but into itself and to its index."""
    html = page(ALL[name](), title=name, lang=lang, back="index.html")
    parsed = _Parsed(html)
    addresses = [value for _, attributes in parsed.tags for key, value in attributes.items() if key in ("src", "href")]

    assert [address for address in addresses if address and not re.match(r"#|data:,$|index\.html$", address)] == []
    assert not re.search(r"@import|url\((?!#)", html)
    assert parsed.tags[0] == ("html", {"lang": lang})


def test_only_the_pages_own_script_may_run() -> None:
    """The policy names the hash of the one script there is."""
    html = page(normal(), title="x")
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()

    assert f"script-src 'sha256-{digest}'" in html
    assert html.count("<script") == 1
    assert not re.search(r"\son\w+=", html)


@pytest.mark.parametrize("nasty", CLEVER)
def test_nothing_recorded_becomes_markup(nasty: str) -> None:
    """A run's own text cannot add an element, an attribute or a script, nor make the page large."""
    record = clever(nasty)
    reported: list[Any] = [
        Failure(0, nasty, nasty),
        FaultReport(0, nasty, 1),
        QdiscReport(0, nasty, nasty, nasty, 0, 0),
    ]
    html = page(record, [*seen(normal()), *reported], title=nasty, replay=nasty, verdict=judge(record))
    parsed = _Parsed(html)

    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert not [tag for tag, _ in parsed.tags if tag in ("img", "iframe", "object", "link") and tag != "link"]
    assert not [key for _, attributes in parsed.tags for key in attributes if key.startswith("on")]
    assert not set(html) & set("\x1b\x00\u202e")
    assert len(html) < 400_000


def test_page_tells_what_a_reader_needs() -> None:
    """Settings, counters, faults, the command that runs it again, claims and coverage."""
    html = page(
        lost_syn_ack(),
        observed(lost_syn_ack()),
        title="lost SYN-ACK",
        replay="handshake test -k synack --seed 1",
        claims=[Claim("C1", "three segments", "nuance", "data may ride on the third")],
        coverage=[Covered("7", State.SYN_SENT, State.ESTABLISHED, 3, "3.10.7.3")],
    )
    text = _Parsed(html).text

    for needed in (
        "lost SYN-ACK",
        "handshake test -k synack --seed 1",
        "delay 50ms",
        "s1-eth1",
        "drop SYN-ACK #1",
        "TCPTimeouts",
        "retransmission of #2",
        "data may ride on the third",
        "3.10.7.3",
    ):
        assert needed in text


def test_output_of_a_failed_test_is_on_its_page() -> None:
    """Its traceback, and what it and its programs printed, as text."""
    printed = [("", "x = <b>1</b>\nE  assert 1 == 2"), ("Captured stdout call", "line\n" * 500)]
    html = page(normal(), title="x", printed=printed)

    assert "x = &lt;b&gt;1&lt;/b&gt;" in html
    assert html.index("Traceback and values") < html.index("Captured stdout call") < html.index("<svg")
    assert html.count("line\n") == 200


def test_edges_that_were_not_taken_are_no_fault() -> None:
    """They have the colour of remarks, not that of failures."""
    coverage = [Covered("7", State.SYN_SENT, State.ESTABLISHED, 3), Covered("5", State.LISTEN, State.SYN_SENT, 0)]
    html = page(normal(), title="x", coverage=coverage)

    assert '<td class="num good">3</td>' in html
    assert '<td class="num quiet">0</td>' in html
    assert 'class="num bad"' not in html


def test_arrow_keys_go_in_the_order_of_time() -> None:
    """Each change and each segment has its place: a change before what it sends, an arrival before what it causes."""
    html = page(simultaneous_close(), title="x")
    wide = html.partition("<svg")[2].partition("</svg>")[0]
    places = {ref: int(at) for ref, at in re.findall(r'data-ref="([^"]+)" data-at="(\d+)"', wide)}
    order = sorted(places, key=lambda ref: places[ref])

    assert len(set(places.values())) == len(places)
    assert order[:7] == ["t1-0", "t0-0", "p1", "t1-1", "p2", "t0-1", "p3"]


def test_rows_have_the_names_of_what_is_drawn() -> None:
    """Every element of the ladder that can be selected has a row in a table."""
    html = page(simultaneous_close(), title="x")
    drawn = set(re.findall(r'data-ref="(\w+-?\d*)"', html))
    rows = set(re.findall(r'<tr id="(\w+-?\d*)"', html))

    assert drawn
    assert drawn <= rows


def test_parting_of_expectation_and_reality_stands_at_the_top() -> None:
    """Both lists of states, with the first difference marked there, in the ladder and in the table."""
    record = orphan()
    expected = (*record.endpoints[0].states[:-1], State.TIME_WAIT, State.CLOSED)
    html = page(record, title="x", verdict=Verdict(ok=False, summary="no", expected={0: expected}))

    assert html.index("first difference from the expected states") < html.index("<svg")
    assert '<span class="chip no">TIME-WAIT</span>' in html
    assert re.search(r'class="state change inferred parts"', html)
    assert '<tr class="parts">' in html


def test_hundred_runs_stay_under_six_megabytes() -> None:
    """An index and a hundred pages of a whole connection each."""
    record = normal()
    one = len(page(record, observed(record), title="test_normal_close_client_first", verdict=judge(record)).encode())
    runs = [run(f"test_{number}", "passed", record, href=f"{number:03d}-test.html") for number in range(100)]
    coverage = [Covered(str(number), State.CLOSED, State.LISTEN, number, "3.10.1") for number in range(80)]

    assert 100 * one + len(index(runs, title="session", coverage=coverage).encode()) < 6_000_000


def test_page_of_many_connections_is_bounded() -> None:
    """A thousand connections are all in the table; the first are drawn."""
    html = page(ALL["many"](), title="x")

    assert html.count('<svg class="ladder wide"') == 20
    assert "20 more connections are not shown" in html


def test_index_has_failures_first_and_escapes() -> None:
    """Failures come first; names are escaped here, too."""
    runs = [run("b", "passed", normal(), href="b.html"), run("<i>a", "failed", orphan(), summary=CLEVER[0])]
    html = index(runs, title="session")

    assert html.index("&lt;i&gt;a") < html.index(">b</a>")
    assert _Parsed(html).text.count("failed") >= 2
    assert html.count("<script") == 1


def test_session_writes_an_index_and_a_page_each(tmp_path: Path) -> None:
    """A folder of records becomes a folder of pages; failures of a run are its outcome."""
    from handshake_lab.recording.events_file import Writer
    from handshake_lab.recording.run_files import EVENTS
    from handshake_lab.report.html.run_pages import find, write

    for name, more in (("good", []), ("bad", [Failure(0, "h1", "AssertionError")])):
        (tmp_path / name).mkdir()
        with Writer(tmp_path / name / EVENTS) as writer:
            writer.write_all([*observed(normal()), *more])
    done: list[int] = []
    rows = write(find(tmp_path), tmp_path / "out", title="t", done=lambda: done.append(1))
    pages = sorted(path.name for path in (tmp_path / "out").iterdir())

    assert pages == ["001-bad.html", "002-good.html", "index.html"]
    assert [(row.name, row.outcome, row.href) for row in rows] == [
        ("bad", "failed", "001-bad.html"),
        ("good", "recorded", "002-good.html"),
    ]
    assert 'data-outcome="failed"' in (tmp_path / "out/index.html").read_text("utf-8")
    assert len(done) == 2


def test_many_findings_are_folded_but_for_the_deviations() -> None:
    """Deviations are above the ladder; other findings can be unfolded there. A small number is not folded."""
    found = [Finding(ok=number != 7, text=f"finding {number}") for number in range(20)]
    html = page(normal(), title="x", verdict=Verdict(ok=False, summary="no", findings=tuple(found)))
    folded = re.search(r"<details><summary>19 findings</summary>(.*?)</details>", html, re.DOTALL)
    few = page(normal(), title="x", verdict=Verdict(ok=False, summary="no", findings=tuple(found[:9])))

    assert html.index("✗ finding 7<") < html.index("<details><summary>19 findings")
    assert folded
    assert folded[1].count("✓ finding") == 19
    assert "findings</summary>" not in few
    assert few.count("✓ finding") == 8


def test_programs_are_reported_with_how_they_ended() -> None:
    """An exit status, a signal, or neither: it was still running. A command is text."""
    reported = [
        Program(0, "h2", "h2-server-1", "nc -l 80", "starts"),
        Program(1, "h1", "h1-client-1", "<b>\x1b[2J", "starts"),
        Program(2, "h1", "h1-client-2", "sleep 9", "starts"),
        Program(3, "h1", "h1-client-1", "<b>\x1b[2J", "ends", "3"),
        Program(4, "h1", "h1-client-2", "sleep 9", "ends", "SIGTERM"),
    ]
    html = page(normal(), reported, title="x")
    rows = re.findall(r"<tr>(<td>h\d</td><td>h\d-.*?)</tr>", html)

    assert [re.findall("<td>(.*?)</td>", row)[2:] for row in rows] == [
        ["nc -l 80", "still running when the recording ended"],
        [r"&lt;b&gt;\x1b[2J", "exit status 3"],
        ["sleep 9", "SIGTERM"],
    ]


def test_a_page_with_data_has_plots() -> None:
    """The library and its licence's name are in the one script, and the curves are numbers only."""
    record = bulk()
    html = page(record, observed(record), title="x")
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    curves = re.search(r'<script type="application/json" id="plots">(.*?)</script>', html, re.DOTALL)
    assert script is not None
    assert curves is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    kinds = {each["kind"]: each["plots"] for each in json.loads(curves[1])["kinds"]}

    assert f"script-src 'sha256-{digest}'" in html
    assert "uPlot" in script[1]
    assert html.count("<script") == 2
    assert re.fullmatch(r'[-\d.eE,:{}\[\]"A-Za-z#]*', curves[1])
    assert {"sequence", "inflight", "throughput"} <= kinds.keys()
    assert all(html.count(f'data-kind="{kind}"') == 1 for kind in kinds)
    data = kinds["sequence"][0]["curves"][0]
    assert len(data["t"]) == len(data["v"]) == len(data["top"]) == len(data["segment"]) > 8


def test_a_page_without_data_has_no_library() -> None:
    """A page of a handshake stays small."""
    assert "uPlot" not in page(normal(), title="x")


def test_a_long_connection_has_all_its_segments() -> None:
    """In columns, which the page's script puts together again: every number of every header."""
    record = transfer(600)
    html = page(record, [], title="x")
    found = re.search(r'<script type="application/json" id="segments">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    stored = json.loads(found[1])["1"]
    numbers = list(accumulate(stored["number"]))
    sent = dict(zip(numbers, accumulate(stored["sent"]), strict=True))
    by_number = {segment.number: segment for segment in record.segments}

    assert sorted(numbers) == sorted(by_number)
    assert {number: by_number[number].sent for number in numbers} == sent
    for place, number in enumerate(numbers):
        segment = by_number[number]
        side = int(stored["side"][place])
        assert stored["ends"][side][0] == segment.sender
        assert (stored["base"][0][side] + stored["seq"][place]) % 2**32 == segment.seq
        flight = stored["flight"][place]
        assert (None if flight < 0 else sent[number] + flight) == segment.received
        assert stored["names"][stored["name"][place]] == segment.name
        assert (str(place) in stored["fate"]) == (segment.lost or segment.retransmits is not None)


def test_nothing_recorded_ends_the_data_of_a_page() -> None:
    """Names of hosts are in it."""
    record = transfer(200)
    nasty = "</script><img src=x onerror=alert(1)>"
    renamed = tuple(replace(each, sender=nasty if each.sender == "h1" else each.sender) for each in record.segments)
    ends = tuple(replace(each, node=nasty if each.node == "h1" else each.node) for each in record.endpoints)
    html = page(replace(record, segments=renamed, endpoints=ends), [], title="x")

    assert "<img" not in html
    assert html.count("</script>") == 3


def test_what_is_unusual_is_linked() -> None:
    """One line for each kind, at most five, each a link to its first segment; nothing on a page of an ordinary run."""
    lost = page(lost_syn_ack(), title="x")
    long = page(transfer(1000), title="x")
    links = re.findall(r'<li><a href="#p(\d+)">#\1</a> (.*?)</li>', long)

    assert re.search(r'<li><a href="#p2">#2</a> SYN-ACK h2 → h1: lost in transit</li>', lost)
    assert 0 < len(links) <= 5
    assert "more)" in links[0][1]
    assert 'class="unusual"' not in page(normal(), title="x")


def test_a_segment_has_the_times_of_the_routers_on_its_way() -> None:
    """A router's captures are recognised by the segment, whatever its addresses; without a router there are none."""
    run = recorded("normal")
    seen = [each for each in run if isinstance(each, SegmentSeen)]
    passed = [
        replace(each, node="r1", interface=interface, direction=way, t=each.t + later, src=Address("192.0.2.1", 9))
        for each in seen
        if each.direction == "sent"
        for interface, way, later in (("r1-eth0", "received", 1000), ("r1-eth1", "sent", 2000))
    ]
    segments = reconcile(run).segments
    found = hops(segments, [*run, *passed])

    assert hops(segments, run) == {}
    for segment in segments:
        assert segment.sent is not None
        assert found[segment.number] == (Hop("r1", segment.sent + 1000, segment.sent + 2000),)
    html = page(reconcile(run), [*run, *passed], title="x")
    assert "r1: received at 0." in html
    assert "on its way" in html
    assert "on its way" not in page(reconcile(run), run, title="x")


def test_the_table_of_connections_counts_all_segments() -> None:
    """Also those that the page does not list."""
    few, long = many(), transfer(600)

    def moved(address: Address) -> Address:
        return replace(address, port=address.port + 500)

    segments = [
        replace(each, number=each.number + 10_000, src=moved(each.src), dst=moved(each.dst)) for each in long.segments
    ]
    html = page(replace(few, segments=(*few.segments, *segments)), [], title="x")

    assert f'<td class="num">{len(segments)}</td>' in html


def test_a_timeline_has_the_programs_of_its_hosts() -> None:
    """And no others; what a run says cannot end the element."""
    record = transfer(200)
    programs = [
        Program(5, node, "</script>" + node, "python3", phase, "0" if phase == "ends" else "")
        for node in ("h1", "h9")
        for phase in ("starts", "ends")
    ]
    html = page(record, programs, title="x")
    found = re.search(r'<script type="application/json" id="segments">(.*?)</script>', html, re.DOTALL)
    assert found is not None

    assert json.loads(found[1])["1"]["marks"] == [[5, "</script>h1 ends: 0"], [5, "</script>h1 starts"]]
