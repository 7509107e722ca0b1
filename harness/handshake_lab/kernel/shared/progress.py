"""Reporting the progress of a kernel build.

A build has stages; the progress of a stage is a number of bytes or files, or is
unknown. The builder uses only the :class:`Progress` protocol.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """Receives the progress of a build."""

    def stage(self, name: str, total: int | None = None, unit: str = "", *, about: bool = False) -> None:
        """A new stage begins, and the previous one is done.

        Args:
            name: What the stage does: "Compiling Linux 7.3.4".
            total: The whole amount, if it is known.
            unit: The unit of the amount: "files", "bytes" or "%".
            about: ``total`` is an estimate.
        """

    def at(self, done: int) -> None:
        """Report how much of the present stage is done, in its unit."""

    def note(self, text: str) -> None:
        """Report a message of one sentence."""


class Silent:
    """Does nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "", *, about: bool = False) -> None:
        """Does nothing."""

    def at(self, done: int) -> None:
        """Does nothing."""

    def note(self, text: str) -> None:
        """Does nothing."""


def amount(done: int, total: int | None, unit: str, *, about: bool) -> str:
    """The progress of a stage as text: ``"512 of about 1003 files"``."""
    if total is None:
        return ""
    if unit == "bytes":
        return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
    if unit == "%":
        return f"{done} %"
    if about and done > total:
        return f"{done} {unit}, more than expected"
    return f"{done} of {'about ' if about else ''}{total} {unit}"


class PlainProgress:
    """Writes lines for a log: one when a stage begins, and one after each tenth of it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._name, self._unit, self._about = "", "", False
        self._total: int | None = None
        self._tenth = 0
        self._began = 0.0

    def stage(self, name: str, total: int | None = None, unit: str = "", *, about: bool = False) -> None:
        """Write a line for the previous stage, and one for this."""
        self.finish()
        self._name, self._total, self._unit, self._about = name, total, unit, about
        self._tenth = 0
        self._began = time.monotonic()
        size = f" ({amount(0, total, unit, about=about).removeprefix('0 of ')})" if total and unit != "%" else ""
        self._say(f"{name}{size}")

    def at(self, done: int) -> None:
        """Write a line if the next tenth is done."""
        if not self._total:
            return
        tenth = min(10 * done // self._total, 9)
        if tenth > self._tenth:
            self._tenth = tenth
            counted = amount(done, self._total, self._unit, about=self._about)
            self._say(f"  {counted}" if self._unit == "%" else f"  {10 * tenth:2d} %  {counted}")

    def note(self, text: str) -> None:
        """Write a line."""
        self._say(text)

    def finish(self) -> None:
        """Write how long the stage took."""
        if self._name:
            self._say(f"  done in {time.monotonic() - self._began:.1f} s")
            self._name = ""

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class TerminalProgress:
    """Shows a line with a bar for every stage, with rich."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._total: int | None = None
        self._unit, self._about = "", False
        self._done = 0

    def stage(self, name: str, total: int | None = None, unit: str = "", *, about: bool = False) -> None:
        """Fill the bar of the previous stage, and add a new one."""
        self.finish()
        self._done = 0
        self._total, self._unit, self._about = total, unit, about
        self._task = self._bars.add_task(name, total=total, amount=amount(0, total, unit, about=about))

    def at(self, done: int) -> None:
        """Move the bar; if the estimate was too small, the bar stays just before its end."""
        if self._task is None or self._total is None:
            return
        self._done = done
        shown = min(done, self._total - 1) if self._about else done
        self._bars.update(self._task, completed=shown, amount=amount(done, self._total, self._unit, about=self._about))

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)

    def finish(self) -> None:
        """Fill the present bar."""
        if self._task is not None:
            total = self._total or 1
            # The counted amount replaces the estimate.
            counted = (
                f"{self._done} {self._unit}" if self._about else amount(total, self._total, self._unit, about=False)
            )
            self._bars.update(self._task, total=total, completed=total, amount=counted)
            self._bars.stop_task(self._task)
            self._task = None


@contextmanager
def shown(out: TextIO | None = None) -> Iterator[Progress]:
    """A progress display on standard error: bars on a terminal, lines elsewhere.

    Nothing appears until a stage begins.
    """
    stream = sys.stderr if out is None else out
    if not stream.isatty():
        plain = PlainProgress(stream)
        yield plain
        plain.finish()
        return
    from rich.console import Console  # noqa: PLC0415  slow to import, and rarely needed
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(file=stream)) as bars:
        terminal = TerminalProgress(bars)
        yield terminal
        terminal.finish()
