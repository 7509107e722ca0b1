"""A sign that work goes on, for those who wait."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds that need no explanation.
PATIENCE = 1.0


@contextmanager
def waiting(
    text: str, total: int | None = None, *, out: TextIO | None = None, patience: float = PATIENCE
) -> Iterator[Callable[[], None]]:
    """Show on a terminal's standard error that something goes on, once it takes a while; it is gone at the end.

    Args:
        text: What goes on.
        total: How many steps it has, where that is known.
        out: Another stream than standard error. One that is no terminal gets nothing.
        patience: Seconds before anything appears.

    Yields:
        What to call after each step.
    """
    stream = sys.stderr if out is None else out
    if not stream.isatty():
        yield lambda: None
        return
    sign = _Sign(text, total, stream)
    timer = threading.Timer(patience, sign.appear)
    timer.daemon = True
    timer.start()
    try:
        yield sign.step
    finally:
        timer.cancel()
        timer.join()
        sign.vanish()


class _Sign:
    def __init__(self, text: str, total: int | None, out: TextIO) -> None:
        self._text = text
        self._total = total
        self._out = out
        self._done = 0
        self._began = time.monotonic()
        self._shown: Callable[[int], None] | None = None
        self._stop: Callable[[], None] = lambda: None

    def appear(self) -> None:
        from rich.console import Console  # slow to import, and seldom needed
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        counts = [] if self._total is None else [BarColumn(bar_width=30), MofNCompleteColumn()]
        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), *counts, TimeElapsedColumn()]
        bars = Progress(*columns, console=Console(file=self._out), transient=True)
        task = bars.add_task(self._text, total=self._total)
        bars.tasks[0].start_time = self._began  # not when it appeared
        self._stop = bars.stop
        self._shown = lambda done: bars.update(task, completed=done)
        self._shown(self._done)  # the steps before; those from now on tell themselves
        bars.start()

    def step(self) -> None:
        self._done += 1
        if self._shown:
            self._shown(self._done)

    def vanish(self) -> None:
        self._stop()
