"""Who waits longer than a second is told that work goes on, and how far; nobody else is told anything."""

from __future__ import annotations

import io
import time

import pytest
from handshake_lab.cli.waiting import waiting


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _until_shown(out: io.StringIO, text: str) -> str:
    deadline = time.monotonic() + 10
    while text not in out.getvalue():
        assert time.monotonic() < deadline, out.getvalue()[-200:]
        time.sleep(0.01)
    return out.getvalue()


def test_steps_are_counted_once_it_takes_a_while() -> None:
    """Those before it appeared, too; at the end the line is cleared."""
    out = _Terminal()
    with waiting("Writing pages", 3, out=out, patience=0) as step:
        step()
        _until_shown(out, "Writing pages")
        step()
        _until_shown(out, "2/3")

    assert out.getvalue().endswith("\x1b[2K")


def test_what_has_no_steps_shows_its_time() -> None:
    """That it goes on is all that is known."""
    out = _Terminal()
    with waiting("Running on Linux 7 (lab)", out=out, patience=0):
        shown = _until_shown(out, "Running on Linux 7 (lab)")

    assert "0:00:00" in shown


def test_nothing_appears_where_it_is_quick_or_nobody_looks() -> None:
    """No byte is written before its time, nor to a file."""
    terminal, file = _Terminal(), io.StringIO()
    with waiting("x", out=terminal) as step:
        step()
    with waiting("x", out=file, patience=0) as step:
        step()

    assert terminal.getvalue() == ""
    assert file.getvalue() == ""


def test_an_exception_takes_the_sign_away() -> None:
    """What is printed next stands on a clean line."""
    out = _Terminal()
    with pytest.raises(KeyError), waiting("x", out=out, patience=0):
        {}[_until_shown(out, "x")]

    assert out.getvalue().endswith("\x1b[2K")
