"""How far a build is, in words and bars."""

from __future__ import annotations

import io

import pytest
from handshake_lab.kernel.lab.build.compile import COMPILED_FILES, expected_files
from handshake_lab.kernel.shared.progress import PlainProgress, TerminalProgress, amount
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TextColumn


@pytest.mark.parametrize(
    ("done", "total", "unit", "about", "words"),
    [
        (512, 1003, "files", True, "512 of about 1003 files"),
        (1010, 1003, "files", True, "1010 files, more than expected"),
        (20_000_000, 167_000_000, "bytes", False, "20 of 167 MB"),
        (31, 100, "%", False, "31 %"),
        (7, None, "", False, ""),
    ],
)
def test_amounts(done: int, total: int | None, unit: str, about: bool, words: str) -> None:
    """An estimate is called one."""
    assert amount(done, total, unit, about=about) == words


def test_a_log_gets_a_line_for_every_tenth() -> None:
    """Not one for every file; and none claims the end before it."""
    out = io.StringIO()
    progress = PlainProgress(out)

    progress.stage("Compiling", 20, "files", about=True)
    for done in range(25):
        progress.at(done)
    progress.stage("Linking")
    progress.finish()

    lines = out.getvalue().splitlines()
    assert lines[0] == "Compiling (about 20 files)"
    assert lines[1:10] == [f"  {10 * tenth} %  {2 * tenth} of about 20 files" for tenth in range(1, 10)]
    assert lines[10].startswith("  done in ")
    assert lines[11] == "Linking"


def test_a_bar_ends_with_what_was_counted() -> None:
    """The estimate has served then."""
    out = io.StringIO()
    with Bars(TextColumn("{task.description}: {task.fields[amount]}"), console=Console(file=out)) as bars:
        progress = TerminalProgress(bars)
        progress.stage("Compiling", 947, "files", about=True)
        progress.at(940)
        progress.at(1000)
        assert bars.tasks[0].completed == 946
        progress.stage("Unpacking", 5_000_000, "bytes")
        progress.finish()

    assert [line.rstrip() for line in out.getvalue().splitlines()[-2:]] == [
        "Compiling: 1000 files",
        "Unpacking: 5 of 5 MB",
    ]


def test_expected_files() -> None:
    """What was counted here wins; an unknown version is taken for the nearest older one."""
    assert expected_files("6.1", {}) == COMPILED_FILES["6.1"]
    assert expected_files("6.1", {"6.1": 5}) == 5
    assert expected_files("7.9", {}) == COMPILED_FILES["7.3"]
    assert expected_files("5.10", {}) == COMPILED_FILES["6.1"]
    assert expected_files("6.12", {"6.6": 7}) == 7
