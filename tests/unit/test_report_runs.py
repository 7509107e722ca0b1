"""Terminal ladders of what real kernels did: fifty recordings, and all runs under HANDSHAKE_RUNS where it is set.

``HANDSHAKE_RUNS`` names a folder such as ``handshake test --artifacts DIR`` keeps: of all the scenarios, if need be.
"""

from __future__ import annotations

import html
import io
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import FaultReport, QdiscReport, Step
from handshake_lab.report.html.page import page
from handshake_lab.report.html.run_pages import find
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.lines import Row, ladder
from handshake_lab.report.terminal.ladder import DRAWN, show, text
from handshake_lab.report.text import cells
from handshake_lab.verdict.judge import judge
from msgspec.structs import replace
from rich.console import Console

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record

_RUNS = {file.stem: file for file in sorted((Path(__file__).with_name("fixtures") / "timeline").glob("*.jsonl"))}
if "HANDSHAKE_RUNS" in os.environ:
    _RUNS |= {directory.name: directory for directory in find(Path(os.environ["HANDSHAKE_RUNS"]))}


@cache
def _record(name: str) -> Record:
    return reconcile(read(_RUNS[name]).observations)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", _RUNS)
def test_ladder_fits_and_nothing_in_it_is_cut(name: str, width: int, lang: str) -> None:
    """At 80 and 120 columns, plain and with box characters: no line is wider, and no word ends in an ellipsis."""
    record = _record(name)
    drawn = text(record, width=width, lang=lang, verdict=judge(record))
    boxed = io.StringIO()
    show(record, console=Console(file=boxed, width=width), lang=lang, verdict=judge(record))

    assert [line for line in drawn.splitlines() if cells.width(line) > width] == []
    assert [line for line in boxed.getvalue().splitlines() if cells.width(line) > width] == []
    # A fold stands between two ellipses of its own, and a list of times may have one; a cut text has none after it.
    assert [line for line in boxed.getvalue().splitlines() if re.search(r"\w…(?!,)", line)] == []
    assert lang == "ko" or drawn.isascii()


@pytest.mark.parametrize("name", _RUNS)
def test_every_segment_and_state_is_in_its_ladder(name: str) -> None:
    """With nothing folded, each segment of the connections drawn has its number, each endpoint's states their names."""
    record = _record(name)
    found = connections(record)[:DRAWN]
    drawn = text(record, fold=False)

    assert {number for each in found for number in (p.number for p in each.segments)} <= set(
        map(int, re.findall(r"#(\d+)", drawn))
    )
    assert {
        state
        for each in found
        for _, lane in each.lanes
        if lane.endpoint
        for state in lane.endpoint.states
        if state not in drawn
    } == set()


@pytest.mark.parametrize("name", _RUNS)
def test_states_stand_in_the_order_in_which_they_were(name: str) -> None:
    """In each lane, also if several were entered at the same time and one of them is drawn with its segment."""
    for connection in connections(_record(name)):
        rows = [line for line in ladder(connection).lines if isinstance(line, Row)]
        for side, lane in connection.lanes:
            drawn = [change.place for row in rows if (change := row.change(side))]

            assert drawn == list(range(len(lane.endpoint.transitions if lane.endpoint else ())))


@pytest.mark.parametrize("name", _RUNS)
def test_korean_reports_have_no_english_in_them(name: str) -> None:
    """In ladders and pages, only names, calls and the user's input are in Latin letters."""
    observations = read(_RUNS[name]).observations
    record = reconcile(observations)
    header = record.header
    record = replace(record, header=replace(header, replay="", faults=[], links=[]))
    reported = [each for each in observations if not isinstance(each, FaultReport | QdiscReport | Step)]
    written = page(record, reported, title="t", verdict=judge(record), lang="ko")
    seen = html.unescape(re.sub(r"<[^>]*>", "\n", re.sub(r"<(style|script)>.*?</\1>", "", written, flags=re.DOTALL)))
    drawn = text(record, width=132, lang="ko", verdict=judge(record))

    assert re.findall(r"[A-Za-z]*[a-z]{2} [a-z]{2,}.*", f"{drawn}\n{seen}") == []
