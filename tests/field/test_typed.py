"""What people typed and was not there: pages, kept directories, plain terminals, quotation marks, durations."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import COMMAND, handshake

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_of_a_demonstration(tmp_path: Path) -> None:
    """--html writes it, --out keeps it; the last line names the file to open."""
    one = handshake("demo", "--html", "one.html", cwd=tmp_path)
    kept = handshake("demo", "--plain", "--out", "my-run", cwd=tmp_path)

    assert one.stdout.splitlines()[-1] == "Page: one.html"
    assert kept.stdout.splitlines()[-1] == "Page: my-run/index.html"
    assert sorted(each.name for each in (tmp_path / "my-run").iterdir()) == [
        "capture.pcapng",
        "events.jsonl",
        "index.html",
    ]
    for page in ("one.html", "my-run/index.html"):
        assert "TIME-WAIT" in (tmp_path / page).read_text()


def test_show_says_where_the_page_is(tmp_path: Path) -> None:
    """On standard error: standard output is for what is shown."""
    handshake("demo", "--out", "my-run", cwd=tmp_path)
    done = handshake("show", "my-run", "--html", "page.html", cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("", "Page: page.html\n")


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    """It is refused before a kernel starts, with a name that is free; what was there is untouched."""
    handshake("demo", "--out", "my-run", cwd=tmp_path)
    before = (tmp_path / "my-run" / "events.jsonl").read_bytes()
    for verb in (("demo", "--seed", "9"), ("record", "--client", "true")):
        done = handshake(*verb, "--out", "my-run", cwd=tmp_path)
        assert done.returncode == 2
        assert "holds a run already" in done.stderr
        assert "--out my-run-2" in done.stderr

    assert (tmp_path / "my-run" / "events.jsonl").read_bytes() == before


def test_other_files_stay(tmp_path: Path) -> None:
    """A directory with other files is used; a page that is there is not."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")

    assert handshake("demo", "--out", "notes", cwd=tmp_path).returncode == 0
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    assert handshake("demo", "--out", "site", cwd=tmp_path).returncode == 2
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


def test_a_scenario_shows_its_ladder(tmp_path: Path) -> None:
    """In both languages, with its page and its record."""
    arguments = ("scenarios", "run", "syn_lost_1", "-n", "0", "--plain")
    english = handshake(*arguments, "--out", "kept", "--html", "page.html", cwd=tmp_path)
    korean = handshake(*arguments, "--lang", "ko", cwd=tmp_path)

    assert english.returncode == 0, english.stderr
    assert "#1 SYN" in english.stdout
    assert "as documented: all" in english.stdout
    assert "RFC" in korean.stdout
    assert "as documented" not in korean.stdout
    assert (tmp_path / "page.html").exists()
    assert len(list((tmp_path / "kept").rglob("events.jsonl"))) == 1
    again = handshake(*arguments, "--out", "kept", cwd=tmp_path)
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)


def test_one_page_is_for_one_run(tmp_path: Path) -> None:
    """Two scenarios are no page."""
    done = handshake(
        "scenarios", "run", "syn_lost_1", "three_way_handshake", "-n", "0", "--html", "p.html", cwd=tmp_path
    )

    assert done.returncode == 2
    assert "there are 2 runs" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("demo",), ("topology", "list"), ("edges",), ("demo", "--lang", "ko"), ("doctor",)]
)
def test_a_terminal_without_the_characters(arguments: tuple[str, ...]) -> None:
    """ASCII, or Latin-1: no traceback; the ladder is drawn with what there is."""
    for encoding in ("ascii", "latin-1"):
        done = subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"},
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        if arguments == ("demo",):
            assert b"|-- #1 SYN seq=0 --" in done.stdout


@pytest.mark.parametrize("option", ["-v", "-V", "--version"])
def test_the_version(option: str) -> None:
    """In the spellings that people try."""
    assert re.fullmatch(r"handshake, version \S+\n", handshake(option).stdout)


def test_help_is_a_verb() -> None:
    """As --help, of the program, of a verb, of a verb below it."""
    assert "[OPTIONS] COMMAND" in handshake("help").stdout
    assert "topology check [OPTIONS]" in handshake("help", "topology", "check").stdout
    done = handshake("help", "demmo")
    assert (done.returncode, "is not a verb" in done.stderr) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """A script of the shell; and what it asks the program."""
    done = handshake("completion", shell)
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'handshake'; from handshake_lab.cli.main import main; main()",
        ],
        env={**os.environ, "_HANDSHAKE_COMPLETE": "bash_complete", "COMP_WORDS": "handshake topo", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert f"_HANDSHAKE_COMPLETE={shell}_complete" in done.stdout
    assert asked.stdout == "plain,topology\n"


@pytest.mark.parametrize("option", ["--link"])
def test_a_direction_without_quotation_marks(tmp_path: Path, option: str) -> None:
    """The shell has taken half of it: the message says so."""
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(COMMAND)} demo {option} s1>h1:delay=50ms"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "the shell interprets '>'" in done.stderr
    assert '--link "h1>h2:loss=5%"' in done.stderr
    assert (tmp_path / "h1:delay=50ms").exists()


def test_durations_without_time_wait(tmp_path: Path) -> None:
    """A connection of a second is not one of a minute."""
    handshake("demo", "--out", "runs/one", cwd=tmp_path)
    run = json.loads(handshake("report", "runs", "--json", cwd=tmp_path).stdout)["runs"][0]

    assert run["length"] < 1
    assert 60 < run["time_wait"] < 62
    assert "61.6 s TIME-WAIT" in (tmp_path / "runs" / "report" / "index.html").read_text()


def test_a_width_that_holds_no_ladder(tmp_path: Path) -> None:
    """It is refused; the narrowest is drawn within its width."""
    handshake("demo", "--out", "my-run", "--fault", "drop SYN-ACK nth=1", cwd=tmp_path)
    refused = handshake("show", "my-run", "--width", "60", cwd=tmp_path)
    drawn = handshake("show", "my-run", "--plain", "--width", "72", cwd=tmp_path)

    assert (refused.returncode, "x>=72" in refused.stderr) == (2, True)
    assert max(map(len, drawn.stdout.splitlines())) <= 72
    assert "rtx #1" in drawn.stdout
