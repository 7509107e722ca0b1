"""Reports are in the language of the locale unless another is chosen; records and JSON are not."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from command_line import COMMAND
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.text.language import locale_language
from recordings import RUNS

if TYPE_CHECKING:
    from pathlib import Path

KOREAN = "ko_KR.UTF-8"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": KOREAN}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "ko_KR.eucKR@hangul"}, "ko"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "kok_IN.UTF-8"}, "en"),  # Konkani
        ({"LC_MESSAGES": KOREAN, "LANG": "en_US.UTF-8"}, "ko"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LANG": KOREAN}, "en"),
        ({"LC_ALL": "C.UTF-8", "LC_MESSAGES": KOREAN, "LANG": KOREAN}, "en"),
        ({"LC_ALL": KOREAN, "LC_MESSAGES": "C", "LANG": "C"}, "ko"),
        # An empty variable is not set.
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": KOREAN}, "ko"),
        ({"LC_CTYPE": KOREAN}, "en"),
    ],
)
def test_the_first_variable_that_is_set_decides(environment: dict[str, str], language: str) -> None:
    """LC_ALL, then LC_MESSAGES, then LANG; a language without a translation is English."""
    assert locale_language(environment) == language


def handshake(*words: str, locale: str) -> str:
    """What the command prints under a locale."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [*COMMAND, *words],
        env={**environment, "LANG": locale, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A recorded run's directory."""
    (tmp_path / EVENTS).write_bytes((RUNS / "normal.jsonl").read_bytes())
    return str(tmp_path)


def test_a_ladder_is_in_the_language_of_the_locale(run: str) -> None:
    """Without --lang; with it, the locale does not matter."""
    shown = handshake("show", run, "--plain", locale=KOREAN)

    assert "클라이언트" in shown
    assert handshake("show", run, "--plain", "--lang", "ko", locale="C.UTF-8") == shown
    assert "client" in handshake("show", run, "--plain", "--lang", "en", locale=KOREAN)
    assert "클라이언트" not in handshake("show", run, "--plain", locale="en_US.UTF-8")


def test_pages_are_in_the_language_of_the_locale(run: str, tmp_path: Path) -> None:
    """One run's page, and the index over many."""
    handshake("show", run, "--html", str(tmp_path / "run.html"), locale=KOREAN)
    handshake("report", run, "--out", str(tmp_path / "pages"), locale=KOREAN)

    assert '<html lang="ko">' in (tmp_path / "run.html").read_text("utf-8")
    assert '<html lang="ko">' in (tmp_path / "pages/index.html").read_text("utf-8")


def test_json_does_not_depend_on_the_language(run: str) -> None:
    """Neither on the locale nor on --lang."""
    english = handshake("show", run, "--json", locale="C.UTF-8")

    assert handshake("show", run, "--json", locale=KOREAN) == english
    assert handshake("show", run, "--json", "--lang", "ko", locale="C.UTF-8") == english


def test_a_record_does_not_depend_on_the_language(tmp_path: Path) -> None:
    """The same run under two locales, on the lab kernel: the same bytes, while what is printed differs."""
    printed = [
        handshake("demo", "--seed", "7", "--plain", "--out", str(tmp_path / locale), locale=locale)
        for locale in ("C.UTF-8", KOREAN)
    ]
    english, korean = ((tmp_path / locale / EVENTS).read_bytes() for locale in ("C.UTF-8", KOREAN))

    assert korean == english
    assert printed[0] != printed[1]
