"""The terminal ladder: what it draws, how wide, and that nothing recorded can act."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from handshake_lab.recording.history import Cause, Record, Transition
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.report.terminal.ladder import ladder, show, text
from handshake_lab.report.text import cells
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import Finding, Verdict, judge
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from report_records import ALL, CLEVER, Story, clever, normal, orphan, simultaneous_close
from rich.console import Console

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ALL)
def test_plain_ladder_is_the_golden_one(name: str, lang: str) -> None:
    """A plain ladder has the same bytes every time; `python tests/golden/write.py` renews the files."""
    drawn = text(ALL[name](), width=80, lang=lang, verdict=judge(ALL[name]()))

    assert (GOLDEN / f"{name}.{lang}.txt").read_text("utf-8") == drawn


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [80, 100, 120, 132])
@pytest.mark.parametrize("name", ALL)
def test_no_line_is_wider_than_asked(name: str, width: int, lang: str) -> None:
    """At every usual width, in both languages, each line fits."""
    lines = text(ALL[name](), width=width, lang=lang, verdict=judge(ALL[name]())).splitlines()

    assert max(map(cells.width, lines)) <= width


@pytest.mark.parametrize("name", ALL)
def test_plain_english_is_ascii(name: str) -> None:
    """Without colours and box characters it is readable anywhere, also in a 7-bit log."""
    assert text(ALL[name](), verdict=judge(ALL[name]())).isascii()


def test_plain_english_spells_out_what_a_record_says_in_other_letters() -> None:
    """In an ASCII report a name is written in ASCII; in a Korean report it is unchanged."""
    record = replace(
        normal(), objections=(sentence("missed_on", node="서버 → 클라이언트", observer="capture", count=1),)
    )

    assert r"\uc11c\ubc84 -> " in text(record)
    assert "서버 -> 클라이언트" in text(record, lang="ko")


def test_much_data_sent_again_is_counted_after_the_first_few() -> None:
    """One line for each of three segments, and one for all the others of that direction."""
    story = Story()
    for number in range(40):
        story.send("h1", "PA", number * 10_000_000, length=100, lost=True)
    for number in range(40):
        story.send("h1", "PA", 2_000_000_000 + number * 10_000_000, length=100, again=number + 1)
    reported = [str(finding.message) for finding in judge(story.record(5_000_000_000)).findings]

    assert reported == [
        *["h1: 100 B of data retransmitted after 2.00 s because it was lost"] * 3,
        "h1: 37 more data segments retransmitted, 37 of them because they were lost",
    ]


def _lossy(segments: int) -> Record:
    """A long transfer: one segment of a hundred is lost and retransmitted, and one of three of these is lost again."""
    story = Story()
    lost: list[int] = []
    for number in range(segments):
        at = number * 1_000_000
        one = story.send("h1", "PA", at, length=1448, lost=number % 100 == 50)
        lost += [one] if number % 100 == 50 else []
        if number % 100 == 99:
            story.send("h1", "PA", at, length=1448, lost=number % 300 == 299, again=lost[-1])
    return story.record(segments * 1_000_000 + 3_000_000_000)


def test_long_transfers_are_folded_unless_all_is_asked_for() -> None:
    """Folded segments are counted; every other one is drawn with its number."""
    record = _lossy(1500)
    drawn = text(record)

    assert len(drawn.splitlines()) < 120
    assert "> 50 segments, 72,400 bytes" in drawn
    assert all(f"#{number} " not in drawn for number in (700, 800, 900))
    assert all(f"#{number} " in text(record, fold=False) for number in (700, 800, 900))


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [72, 80, 100, 120, 132])
def test_lost_and_resent_segments_are_never_folded(width: int, lang: str) -> None:
    """Each is drawn at any width and in any number, and each retransmission names its original, which is drawn too."""
    record = _lossy(12_000)
    drawn = text(record, width=width, lang=lang)
    special = [each for each in record.segments if each.lost or each.retransmits is not None]

    assert len(special) == 240
    for each in special:
        line = next(line for line in drawn.splitlines() if f"#{each.number} " in line and "|" in line)
        assert not each.lost or "X" in line
        assert each.retransmits is None or f"rtx #{each.retransmits}" in line
        assert each.retransmits is None or f"-- #{each.retransmits} " in drawn


@pytest.mark.parametrize("width", [72, 80, 99, 115, 116, 120, 132])
def test_calls_are_beside_the_host_that_makes_them(width: int) -> None:
    """At any width: left of the left lane, or right of the right one, in the order of the states."""
    lines = text(simultaneous_close(), width=width).splitlines()
    begin = next(place for place, line in enumerate(lines) if "CLOSED |" in line)
    sides = [line.split("|") for line in lines[begin : lines.index("", begin)]]
    left, right = (" ".join(side[place] for side in sides).split() for place in (0, 2))

    assert [word for word in left if "(" in word] == ["connect()", "close()"]
    assert [word for word in right if "(" in word] == ["listen()", "close()"]
    assert left.index("connect()") < left.index("SYN-SENT") < left.index("close()") < left.index("FIN-WAIT-1")
    assert not any("(" in side[1] for side in sides)


@pytest.mark.parametrize("width", [72, 80, 120])
@pytest.mark.parametrize("node", ["h1", "h2"])
def test_long_calls_and_timers_are_complete_on_their_side(node: str, width: int) -> None:
    """Also where they need more than one line."""
    why = "shutdown(SHUT_WR) by another thread, then close()"
    story = Story().change(node, State.FIN_WAIT_1, 1_000_000, why, old=State.ESTABLISHED)
    story.change(node, State.CLOSED, 2_000_000, "the retransmission timer")
    drawn = [
        line.split("|") for line in text(story.record(3_000_000), width=width).splitlines() if line.count("|") == 2
    ]
    side = " ".join(" ".join(parts[0 if node == "h1" else 2] for parts in drawn).split())

    assert max(map(len, text(story.record(3_000_000), width=width).splitlines())) <= width
    for word in f"{why} the retransmission timer".split():
        assert word in side


def test_show_prints_the_same_when_piped_as_on_a_terminal_of_that_width() -> None:
    """Where the output is no terminal, colours go and the lines stay whole."""
    piped, terminal = io.StringIO(), io.StringIO()
    show(normal(), console=Console(file=piped, width=120))
    show(normal(), console=Console(file=terminal, width=120, force_terminal=True, color_system="truecolor"))

    assert "\x1b[" not in piped.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert "SYN-RECEIVED" in piped.getvalue()


def test_lost_segment_ends_in_the_middle() -> None:
    """The cross of a lost segment stands in the middle lane, and its repetition names it."""
    lines = text(ALL["lost_syn_ack"]()).splitlines()
    lost = next(line for line in lines if "#2" in line)
    middle = next(line for line in lines if "LISTEN" in line).index(":")

    assert lost[middle] == "X"
    assert any("#4" in line and "rtx #2" in line for line in lines)


def test_simultaneous_segments_cross() -> None:
    """Two segments in flight at the same time each have their own column until they arrive."""
    lines = text(ALL["simultaneous_close"]()).splitlines()
    departures = [next(place for place, line in enumerate(lines) if f"#{number} " in line) for number in (4, 5)]
    arrivals = [place for place, line in enumerate(lines) if "CLOSING" in line]

    assert max(departures) < min(arrivals)


def test_long_waits_are_folded_with_their_length() -> None:
    """TIME-WAIT's minute is one line, with its duration and the timer that ended it."""
    assert "61.7 s, the TIME-WAIT timer" in text(normal())


def test_doubt_is_marked_and_explained() -> None:
    """An inferred state and an objection have marks in the ladder and words below it."""
    drawn = text(orphan())

    assert "CLOSED?|" in drawn
    assert "FIN-WAIT-2!|" in drawn
    assert "the tracepoint also reports CLOSED" in drawn
    assert "not observed" in drawn


def test_states_are_ticked_by_the_verdict() -> None:
    """If the verdict expects a list of states, the first different one is marked."""
    record = orphan()
    expected = (*record.endpoints[0].states[:-1], State.TIME_WAIT, State.CLOSED)
    drawn = text(record, verdict=Verdict(ok=False, summary="not as documented", expected={0: expected}))
    lines = drawn.splitlines()
    missing = next(place for place, line in enumerate(lines) if "expected here, not reached" in line)

    assert lines[missing].strip().startswith("! TIME-WAIT")
    assert "first difference from the expected states" in lines[missing + 1]


def test_without_expectation_transitions_the_verdict_finds_wrong_are_crossed() -> None:
    """A finding that names a transition marks the state it led to."""
    wrong = Verdict(ok=False, summary="no", findings=(Finding(False, "bad", endpoint=0, transition=1),))
    lines = text(normal(), verdict=wrong).splitlines()

    assert any(line.startswith("  ! ESTABLISHED") for line in lines)
    assert any(line.startswith("  + SYN-SENT") for line in lines)


def test_without_verdict_nothing_is_ticked() -> None:
    """Without a verdict there are no tick marks."""
    assert "as documented" not in text(normal())


def test_several_connections_begin_with_a_table() -> None:
    """The table lists all of them; only the first ones are drawn, with the number of the others."""
    drawn = text(ALL["many"]())

    assert drawn.index("40 ") < drawn.index("Connection 1")
    assert "34 more connections are not shown" in drawn
    assert "Connection 7 " not in drawn


def test_one_connection_can_be_drawn_alone() -> None:
    """`only` draws that connection and no table."""
    drawn = text(ALL["many"](), only=7)

    assert "10.0.0.1:40006" in drawn
    assert "10.0.0.1:40005" not in drawn


def test_importing_the_ladder_costs_no_templates_and_no_rich() -> None:
    """The demo must start at once: jinja2 and rich wait until something is drawn with them."""
    code = (
        "import sys, handshake_lab.report.terminal.ladder; print([m for m in ('jinja2', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("nasty", CLEVER)
def test_recorded_text_is_shown_and_never_obeyed(nasty: str) -> None:
    """Names, causes and objections out of a run can neither steer the terminal nor flood it."""
    record = clever(nasty)
    shown = io.StringIO()
    show(record, console=Console(file=shown, width=100), failures=[nasty])

    for drawn in (text(record, failures=[nasty]), shown.getvalue()):
        assert not set(drawn) & set("\x1b\x07\x00\r\u202e\x9b")
        assert len(drawn) < 60_000
        assert max(map(cells.width, drawn.splitlines())) <= 132
    assert "[bold]" not in nasty or "[bold]" in shown.getvalue()


def test_of_many_findings_the_deviations_are_all_reported() -> None:
    """And the first of the others, with the number of omitted ones."""
    found = [Finding(ok=number % 10 != 9, text=f"finding {number}") for number in range(100)]
    drawn = text(normal(), verdict=Verdict(ok=False, summary="no", findings=tuple(found)))

    assert drawn.count("! finding") == 10
    assert drawn.count("+ finding") == 20
    assert "- and 70 more\n! no" in drawn


_TIMES = st.integers(0, 200).map(lambda n: n * 10_000_000)


@st.composite
def _records(draw: st.DrawFn) -> Record:
    """Any segments and any transitions, also inconsistent ones."""
    story = Story(delay=draw(st.sampled_from([0, 1, 50_000_000])))
    for _ in range(draw(st.integers(0, 25))):
        node = draw(st.sampled_from(["h1", "h2"]))
        story.send(
            node, draw(st.sampled_from(["S", "SA", "A", "PA", "FA", "R", ""])), draw(_TIMES), lost=draw(st.booleans())
        )
    segments = [
        replace(p, sent=None) if p.received is not None and draw(st.integers(0, 9)) == 0 else p for p in story.segments
    ]
    for node in ("h1", "h2"):
        for time in sorted(draw(st.lists(_TIMES, max_size=8))):
            number = draw(st.none() | st.integers(1, 25))
            kind: Any = draw(st.sampled_from(["segment", "call", "timer", "reset", "unknown"]))
            old, new = draw(st.sampled_from(State)), draw(st.sampled_from(State))
            cause = Cause(kind, draw(st.text(max_size=20)), number)
            witnesses = tuple(draw(st.sets(st.sampled_from(Witness))))
            story.steps[node].append(Transition(old, new, time, max(0, time - 5), witnesses, cause))
    return replace(story.record(3_000_000_000), segments=tuple(segments))


@settings(max_examples=150, deadline=None)
@given(_records(), st.sampled_from([80, 120]))
def test_anything_can_be_drawn(record: Record, width: int) -> None:
    """Whatever a record holds, it is drawn within its width, and every segment that is not folded once."""
    drawn = text(record, width=width)

    assert max(map(cells.width, drawn.splitlines()), default=0) <= width
    if len(record.segments) <= 8:
        heads = [line for line in drawn.splitlines() if "|" in line or ":" in line]
        assert all(any(f"#{p.number}" in line for line in heads) for p in record.segments)


def test_ladder_is_a_rich_renderable_without_markup() -> None:
    """The renderable has the requested width on any console."""
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(ladder(normal(), width=120))

    assert "◀" in console.export_text()
