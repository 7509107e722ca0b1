"""A line with the progress of a search, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.explore.search import Exploration

#: Seconds between two lines.
_INTERVAL = 0.2


class Progress:
    """Shows the progress of a search on standard error."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, state: Exploration) -> None:
        """Show the progress, unless the last line is too recent."""
        now = time.monotonic()
        if self._terminal and now - self._shown > _INTERVAL:
            self._shown = now
            sys.stderr.write(f"\r{line(state)}\x1b[K")
            sys.stderr.flush()

    def close(self) -> None:
        """Remove the line."""
        if self._terminal and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def line(state: Exploration) -> str:
    """For example: "120 of 300 runs, 5.2 runs/s, 14 features, 1 finding"."""
    rate = state.runs / state.seconds if state.seconds else 0.0
    found = len(state.findings)
    return (
        f"{state.runs} of {max(state.planned, state.runs)} runs, {rate:.1f} runs/s, {state.features} features, "
        f"{found} finding{'s' * (found != 1)}"
    )
