"""A progress display appears after a second, on a terminal only, and is removed at the end."""

from __future__ import annotations

import io

import pytest
from handshake_lab.cli.waiting import waiting
from polling import comes_true


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _until_shown(out: io.StringIO, text: str) -> str:
    assert comes_true(lambda: text in out.getvalue()), out.getvalue()[-200:]
    return out.getvalue()


def test_steps_are_counted_once_it_takes_a_while() -> None:
    """Steps done before it appeared are counted, too; at the end the line is cleared."""
    out = _Terminal()
    with waiting("Writing pages", 3, out=out, appears_after=0) as step:
        step()
        _until_shown(out, "Writing pages")
        step()
        _until_shown(out, "2/3")

    assert out.getvalue().endswith("\x1b[2K")


def test_what_has_no_steps_shows_its_time() -> None:
    """The elapsed time is all that is known."""
    out = _Terminal()
    with waiting("Running on Linux 7 (lab)", out=out, appears_after=0):
        shown = _until_shown(out, "Running on Linux 7 (lab)")

    assert "0:00:00" in shown


def test_nothing_appears_for_quick_operations_or_without_a_terminal() -> None:
    """Nothing is written before the delay has passed, or to a file."""
    terminal, file = _Terminal(), io.StringIO()
    with waiting("x", out=terminal) as step:
        step()
    with waiting("x", out=file, appears_after=0) as step:
        step()

    assert terminal.getvalue() == ""
    assert file.getvalue() == ""


def test_an_exception_removes_the_display() -> None:
    """The next message starts on an empty line."""
    out = _Terminal()
    with pytest.raises(KeyError), waiting("x", out=out, appears_after=0):
        dict[str, str]()[_until_shown(out, "x")]

    assert out.getvalue().endswith("\x1b[2K")
