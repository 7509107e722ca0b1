"""Two runs compared: what differs first, side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands import diff
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.recording.events_file import Writer
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.html.comparison import comparison
from handshake_lab.report.layout.differences import CONTEXT, compare
from handshake_lab.report.terminal.side_by_side import side_by_side
from handshake_lab.report.text.cells import width
from handshake_lab.report.text.translations import words
from msgspec.structs import replace
from report_records import ALL, CLEVER, MS, Story, bulk, clever, lost_syn_ack, many, normal, observed

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.recording.history import Record

EN = words("en")
NAMES = ("one", "other")


@pytest.mark.parametrize("name", ALL)
def test_a_run_is_the_same_as_itself(name: str) -> None:
    """And all its events are shown only if that was asked for."""
    record = ALL[name]()
    whole = compare(record, record, EN, whole=True)

    assert compare(record, record, EN).same
    assert not any(each.rows for each in compare(record, record, EN).connections)
    assert all(row.same for each in whole.connections for row in each.rows)
    assert whole.latest == 0


def test_the_first_difference_is_the_lost_segment() -> None:
    """Everything before it is equal; of the equal events only a few around differences are shown."""
    (connection,) = compare(normal(), lost_syn_ack(), EN).connections
    (whole,) = compare(normal(), lost_syn_ack(), EN, whole=True).connections
    place = next(place for place, row in enumerate(whole.rows) if not row.same)

    assert whole.rows[place] == replace(connection.first, skipped=0)
    assert any("SYN-ACK" in row.right.text and "lost" in row.right.text for row in whole.rows[place:] if row.right)
    assert all(row.left and row.right for row in whole.rows[:place])
    assert place <= sum(row.skipped for row in connection.rows[: CONTEXT + 1]) + CONTEXT
    assert sum(1 + row.skipped for row in connection.rows) + connection.skipped == len(whole.rows)


def test_times_are_not_compared_but_reported() -> None:
    """The same happens later."""
    slow = Story(delay=51 * MS)
    fast = Story(delay=50 * MS)
    for story in (slow, fast):
        story.send("h1", "S", 10 * MS)
    slow.send("h2", "SA", 70 * MS)
    fast.send("h2", "SA", 60 * MS)
    difference = compare(slow.record(90 * MS), fast.record(90 * MS), EN)

    assert difference.same
    assert difference.latest == 10 * MS


def test_events_of_both_runs_are_kept_in_order() -> None:
    """Each event of either run is in exactly one row, and in its order."""
    ones, others = lost_syn_ack(), normal()
    (aligned,) = compare(ones, others, EN, whole=True).connections
    (left,) = compare(ones, ones, EN, whole=True).connections
    (right,) = compare(others, others, EN, whole=True).connections

    assert [row.left for row in aligned.rows if row.left] == [row.left for row in left.rows]
    assert [row.right for row in aligned.rows if row.right] == [row.right for row in right.rows]


def test_a_connection_of_one_run_only() -> None:
    """It is named, and its events are on its side."""
    few = many()
    fewer = replace(few, endpoints=few.endpoints[:2], segments=few.segments[:0])
    difference = compare(few, fewer, EN)
    printed = side_by_side(difference, NAMES, EN, 100, plain=True)

    assert not difference.same
    assert "in one run only" in printed


def test_many_events_are_compared_in_time() -> None:
    """Beyond the first difference, only a limited number are aligned; the number of those left out is stated."""
    one, other = bulk(3000), bulk(3001)
    shifted = replace(other, segments=tuple(replace(each, length=1000) for each in other.segments))
    (connection,) = compare(one, shifted, EN).connections

    assert connection.unaligned > 0
    assert not connection.same


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("columns", [72, 100, 132])
def test_columns_are_beside_each_other(columns: int, lang: str) -> None:
    """No line is wider than the terminal, and the plain text of English is ASCII."""
    difference = compare(normal(), lost_syn_ack(), words(lang))
    printed = side_by_side(difference, NAMES, words(lang), columns, plain=True)
    lines = printed.partition("\n\n")[2].splitlines()

    assert max(map(width, lines)) <= columns
    assert lang != "en" or printed.isascii()
    assert {line[(columns - 3) // 2 + 1] for line in lines if len(line) > (columns - 3) // 2 + 1} >= {
        "<",
        ">",
    } or lang == "ko"


@pytest.mark.parametrize("nasty", CLEVER)
def test_nothing_recorded_becomes_markup(nasty: str) -> None:
    """Names of hosts come from a run."""
    html = comparison(clever(nasty), normal(), title=nasty, names=(nasty, nasty))

    assert html.count("<script") == 1
    assert not re.search(r"<img|<iframe|onerror=\"", html)


def test_a_page_marks_the_first_difference() -> None:
    """Once."""
    html = comparison(normal(), lost_syn_ack(), title="x")

    assert html.count('id="first"') == 1
    assert EN("page.passing") in html


def _stored(directory: Path, record: Record) -> Path:
    directory.mkdir()
    with Writer(directory / EVENTS) as writer:
        writer.write_all(observed(record))
    return directory


def test_the_verb(tmp_path: Path) -> None:
    """0 and a sentence if the same happened; 1 and the difference if not; a page in a file."""
    one, other = _stored(tmp_path / "a", normal()), _stored(tmp_path / "b", lost_syn_ack())

    def called(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(diff.command, [str(each) for each in arguments], standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.return_value, result.output

    assert called(one, one)[0] == 0
    assert "same happened" in called(one, one)[1]
    status, printed = called(one, other, "--plain", "--width", 80)
    assert (status, printed.splitlines()[0]) == (1, "First difference, in the connection h1 - h2:80:")
    assert called(one, other, "--html", tmp_path / "d.html")[0] == 1
    assert (tmp_path / "d.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(UsageError, match="cannot be written"):
        called(one, other, "--html", tmp_path / "no" / "d.html")
    with pytest.raises(RecordUnreadable):
        called(one, tmp_path / "nothing")
