"""handshake show and handshake report, as a user runs them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from handshake_lab.cli import options
from handshake_lab.cli.commands import demo, report, show
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.recording.events_file import Writer
from handshake_lab.recording.observations import Failure
from handshake_lab.recording.run_files import EVENTS
from msgspec.structs import replace
from report_records import many, normal, observed

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A directory with a run."""
    directory = tmp_path / "my-run"
    directory.mkdir()
    with Writer(directory / EVENTS) as writer:
        writer.write_all(observed(normal()))
    return directory


def _show(*words: object) -> Result:
    return CliRunner().invoke(show.command, [str(word) for word in words], standalone_mode=False)


def test_show_draws_the_ladder(stored: Path) -> None:
    """Without options, the ladder as the demo shows it."""
    result = _show(stored, "--width", "100")

    assert "┃── #1 SYN seq=0" in result.output


def test_show_ends_with_what_failed(stored: Path, tmp_path: Path) -> None:
    """If a test expected something else, TCP may be as documented: the last line reports the failure."""
    failing = tmp_path / "failing"
    failing.mkdir()
    *before, end = observed(normal())
    with Writer(failing / EVENTS) as writer:
        writer.write_all([*before, Failure(end.t, "", "assert 1 == 2\n  really\n\ntest_it.py:7: assert 1 == 2"), end])

    assert _show(failing).output.splitlines()[-6:] == [
        "Failures",
        "  assert 1 == 2",
        "    really",
        "",
        "  test_it.py:7: assert 1 == 2",
        "✗ failed",
    ]
    assert "Failures" not in _show(stored).output


def test_show_prints_one_document(stored: Path) -> None:
    """--json is what the demo prints with --json."""
    shown = json.loads(_show(stored, "--json").output)

    assert shown["kernel"] == {"kind": "lab", "release": "6.1.0", "hz": 100, "seed": 1}
    assert shown["verdict"] is not None


@pytest.mark.parametrize("words", [("ladder",), ("diagram",), ("ladder", "--axis", "time")])
def test_show_prints_a_picture(stored: Path, words: tuple[str, ...]) -> None:
    """--svg writes a whole SVG file to stdout."""
    assert ET.fromstring(_show(stored, "--svg", *words).output).tag.endswith("svg")  # noqa: S314 - our own


def test_show_writes_a_page_and_a_capture(stored: Path, tmp_path: Path) -> None:
    """Both at once; nothing is printed on standard output, and the page's place on standard error."""
    result = _show(stored, "--html", tmp_path / "run.html", "--pcapng", tmp_path / "run.pcapng", "--lang", "ko")

    assert result.stdout == ""
    assert result.stderr == f"페이지: {tmp_path / 'run.html'}\n"
    assert (tmp_path / "run.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "run.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_damaged_record_is_a_clear_error(stored: Path) -> None:
    """The message names the line."""
    file = stored / EVENTS
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:3], "{broken}\n", *lines[3:]]), "utf-8")

    with pytest.raises(RecordUnreadable, match="line 4"):
        raise _show(stored).exception or AssertionError


def test_newer_record_is_a_clear_error(stored: Path) -> None:
    """The error contains its version and the versions that this release reads."""
    file = stored / EVENTS
    file.write_text(file.read_text("utf-8").replace('"version":2', '"version":99', 1), "utf-8")

    with pytest.raises(RecordUnreadable, match="99"):
        raise _show(stored).exception or AssertionError


def test_cut_record_is_shown_and_said_to_be_cut(stored: Path) -> None:
    """The observations before the cut are shown."""
    file = stored / EVENTS
    file.write_bytes(file.read_bytes()[:-30])
    result = _show(stored)

    assert "SYN-SENT" in result.output
    assert "cut" in result.output


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (("--json", "--svg", "ladder"), "cannot both be printed"),
        (("--connection", "2"), "is not one of the 1 recorded"),
        (("--svg", "ladder", "--connection", "9"), "is not one of the 1 recorded"),
        (("--html", "/nonexistent/page.html"), "cannot be written"),
        (("--parquet", "cwnd.parquet"), "needs --plot"),
        (("--plot", "cwnd", "--csv", "--parquet", "cwnd.parquet"), "are alternatives"),
    ],
)
def test_what_cannot_be_meant_is_refused(stored: Path, words: tuple[str, ...], reported: str) -> None:
    """With the value, the reason and a correct example."""
    with pytest.raises(UsageError, match=reported):
        raise _show(stored, *words).exception or AssertionError


def test_report_writes_pages_beside_the_runs(stored: Path) -> None:
    """The index is at the path that the command prints."""
    result = CliRunner().invoke(report.command, [str(stored.parent)], standalone_mode=False)

    assert result.output.strip().endswith("report/index.html")
    assert (stored.parent / "report" / "001-my-run.html").exists()


def test_report_of_nothing_is_refused(tmp_path: Path) -> None:
    """A folder without a run is a mistake, not an empty report."""
    result = CliRunner().invoke(report.command, [str(tmp_path)], standalone_mode=False)

    assert isinstance(result.exception, UsageError)


def test_stories_survive_being_stored() -> None:
    """The helper that these tests store runs with gives all observations of a run."""
    assert len(observed(many(3))) > 3 * 14


def test_the_command_that_gives_a_run_again_is_reported(tmp_path: Path) -> None:
    """It is in the record, and so under the ladder, on the page and in the document."""
    command = "handshake demo --loss 20% --seed 7"
    record = normal()
    first, *rest = observed(record)
    with Writer(tmp_path / EVENTS) as writer:
        writer.write_all([replace(record.header, replay=command), *rest])

    assert first == record.header
    assert f"Run again: {command}\n" in _show(tmp_path, "--plain").stdout
    assert f"다시 실행: {command}\n" in _show(tmp_path, "--plain", "--lang", "ko").stdout
    assert json.loads(_show(tmp_path, "--json").stdout)["replay"] == command
    _show(tmp_path, "--html", tmp_path / "page.html")
    assert command in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ("", "handshake demo"),
        ("--json --lang ko --seed 1", "handshake demo"),
        (
            "--loss 20% --plain --seed 7 --fault 'drop SYN nth=1' --fault 'drop SYN nth=2' --out x",
            "handshake demo --loss 20% --fault 'drop SYN nth=1' --fault 'drop SYN nth=2' --seed 7",
        ),
    ],
)
def test_a_command_is_reported_again_with_what_changes_the_run(given: str, again: str) -> None:
    """Its options, but for those that choose what is shown or kept, and those given their default."""
    with demo.command.make_context("demo", shlex.split(given)):
        assert options.again() == again
