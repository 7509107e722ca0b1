"""Lines of standard input on their way into a kernel: a script's run asks for each by a file, and gets it by another.

While a line is awaited in a lab kernel, no virtual time passes: the process that waits is one whose calls take none
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
#: Seconds between two looks for a line where time is real.
_LOOK = 0.01


def ask_for_line(directory: Path, number: int, *, real_time: bool) -> str:
    """Inside: the ``number``-th line, from 1, with its newline; "" at the end of the input.

    Args:
        directory: The run's directory, which is also visible outside.
        number: Which line.
        real_time: Whether time passes on this kernel meanwhile.
    """
    (directory / _ASKED.format(number)).touch()
    answer = directory / _LINE.format(number)
    while not answer.exists():
        if real_time:
            time.sleep(_LOOK)
    line = answer.read_text("utf-8", "replace")
    answer.unlink()
    return line


def answer_if_asked(directory: Path, number: int, read: Callable[[], str]) -> bool:
    """Outside: give the ``number``-th line if it is being asked for.

    Args:
        directory: The run's directory.
        number: Which line.
        read: Called for the line; "" at the end of the input.

    Returns:
        Whether it was asked for.
    """
    asked = directory / _ASKED.format(number)
    if not asked.exists():
        return False
    unfinished = asked.with_suffix(".part")
    unfinished.write_text(read(), "utf-8")
    asked.unlink()
    unfinished.rename(directory / _LINE.format(number))
    return True
