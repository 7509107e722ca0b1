"""Passing lines of standard input into a kernel: the run creates a file to request a line, and reads it from another.

While a run waits for a line in a lab kernel, no virtual time passes: the calls of the waiting process take none
(`handshake_lab.linux.virtual_time`), and it does not sleep.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ASKED = "input-{}.asked"
_LINE = "input-{}.line"
#: Seconds between two checks for a line, in real time.
_INTERVAL = 0.01


def ask_for_line(directory: Path, number: int, *, real_time: bool) -> str:
    """Called in the kernel: the ``number``-th line, from 1, with its newline; "" at the end of the input.

    Args:
        directory: The run's directory, which the host shares with the kernel.
        number: The number of the line.
        real_time: Whether the kernel runs in real time.
    """
    (directory / _ASKED.format(number)).touch()
    answer = directory / _LINE.format(number)
    while not answer.exists():
        if real_time:
            time.sleep(_INTERVAL)
    line = answer.read_text("utf-8", "replace")
    answer.unlink()
    return line


def answer_if_asked(directory: Path, number: int, read: Callable[[], str]) -> bool:
    """Called on the host: provide the ``number``-th line if the run has requested it.

    Args:
        directory: The run's directory.
        number: The number of the line.
        read: Returns the line; "" at the end of the input.

    Returns:
        Whether it was requested.
    """
    asked = directory / _ASKED.format(number)
    if not asked.exists():
        return False
    unfinished = asked.with_suffix(".part")
    unfinished.write_text(read(), "utf-8")
    asked.unlink()
    unfinished.rename(directory / _LINE.format(number))
    return True
