"""A progress display for operations that take longer than a moment."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds before the display appears.
APPEARS_AFTER = 1.0


@contextmanager
def waiting(
    text: str, total: int | None = None, *, out: TextIO | None = None, appears_after: float = APPEARS_AFTER
) -> Iterator[Callable[[], None]]:
    """Show progress on standard error, if it is a terminal and the operation takes a while; remove it at the end.

    Args:
        text: The description of the operation.
        total: The number of steps, where it is known.
        out: Another stream than standard error. Nothing is written to a stream that is not a terminal.
        appears_after: Seconds before the display appears.

    Yields:
        A function to call after each step.
    """
    stream = sys.stderr if out is None else out
    if not stream.isatty():
        yield lambda: None
        return
    display = _Display(text, total, stream)
    timer = threading.Timer(appears_after, display.appear)
    timer.daemon = True
    timer.start()
    try:
        yield display.step
    finally:
        timer.cancel()
        timer.join()
        display.vanish()


class _Display:
    def __init__(self, text: str, total: int | None, out: TextIO) -> None:
        self._text = text
        self._total = total
        self._out = out
        self._done = 0
        self._began = time.monotonic()
        self._shown: Callable[[int], None] | None = None
        self._stop: Callable[[], None] = lambda: None

    def appear(self) -> None:
        from rich.console import Console  # slow to import, and rarely needed
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        counts = [] if self._total is None else [BarColumn(bar_width=30), MofNCompleteColumn()]
        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), *counts, TimeElapsedColumn()]
        bars = Progress(*columns, console=Console(file=self._out), transient=True)
        task = bars.add_task(self._text, total=self._total)
        bars.tasks[0].start_time = self._began  # not when it appeared
        self._stop = bars.stop
        self._shown = lambda done: bars.update(task, completed=done)
        self._shown(self._done)  # steps done before it appeared
        bars.start()

    def step(self) -> None:
        self._done += 1
        if self._shown:
            self._shown(self._done)

    def vanish(self) -> None:
        self._stop()
