"""Shows the sockets of a running run: a table on a terminal, otherwise a line for each change."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from handshake_lab.recording.events_file import Follower
from handshake_lab.report.terminal.socket_board import SocketBoard
from handshake_lab.report.text.times import clock, span
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from rich.table import Table

#: Seconds between two reads of the record.
PACE = 0.1
#: Lines of the terminal that are not available for sockets: title, heading, borders, counts.
_FRAME = 8


@contextlib.contextmanager
def watching(
    directory: Path, *, real_time: bool, plain: bool = False, lang: str = "en", stream: TextIO | None = None
) -> Iterator[None]:
    """Show the sockets of a record on standard error while the body runs.

    Args:
        directory: The directory that contains, or will contain, ``events.jsonl``.
        real_time: Whether the run's clock is real time: then timers count down between observations.
        plain: Print lines also on a terminal.
        lang: The language of the table's headings.
        stream: Another stream to write to.

    Raises:
        RecordUnreadable: The record has a newer format, or is damaged.
    """
    stream = stream or sys.stderr
    viewer = _Lines(directory, stream) if plain or not stream.isatty() else _Screen(directory, stream, real_time, lang)
    with viewer:
        yield


class _Lines:
    """Prints a line for each change."""

    def __init__(self, directory: Path, stream: TextIO) -> None:
        self._follower = Follower(directory)
        self._stream = stream
        self._ends = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="watching", daemon=True)
        self._board = SocketBoard()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._error and kind is None:
            raise self._error

    def _follow(self) -> None:
        try:
            while not self._ends.wait(PACE):
                self._show(self._board.take(self._follower.read()))
            self._show(self._board.take(self._follower.read()))
        except Exception as error:  # noqa: BLE001  raised in the thread that uses this
            self._error = error

    def _show(self, lines: list[str]) -> None:
        for line in lines:
            print(line, file=self._stream)
        self._stream.flush()


class _Screen(_Lines):
    """Draws a table, which is updated."""

    def __init__(self, directory: Path, stream: TextIO, real_time: bool, lang: str) -> None:
        super().__init__(directory, stream)
        from rich.console import Console  # noqa: PLC0415  slow to import, and rarely needed
        from rich.live import Live  # noqa: PLC0415

        self._words = words(lang)
        self._real_time = real_time
        self._newest = (0, time.monotonic_ns())
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> None:
        self._live.start()
        super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            self._live.stop()

    def _show(self, lines: list[str]) -> None:
        del lines  # the table shows the changes
        if self._newest[0] != self._board.now:
            self._newest = self._board.now, time.monotonic_ns()
        elapsed = time.monotonic_ns() - self._newest[1] if self._real_time and self._board.now else 0
        self._live.update(self._table(self._board.now + elapsed), refresh=True)

    def _table(self, now: int) -> Table:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        sentence = self._words
        entries, more = self._board.entries(now, self._console.height - _FRAME)
        counted = [
            f"{node}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            for node, states in self._board.counts().items()
        ]
        if more:
            counted.append(sentence("table.more", count=more))
        table = Table(title=f"{clock(now, 1)} s", caption=" · ".join(counted), expand=True)
        for name in ("live.host", "live.socket", "live.state", "live.since"):
            table.add_column(sentence(name), no_wrap=True)
        for name in ("live.timer", "live.again", "live.received", "live.sent"):
            table.add_column(sentence(name), justify="right")
        for each in entries:
            listens = each.state is State.LISTEN
            left = "" if each.due is None else f" {span(max(each.due - now, 0), 'us')}"
            table.add_row(
                each.node,
                Text(str(each.local) if listens else f"{each.local} → {each.remote}"),
                str(each.state),
                span(max(now - each.since, 0), "us"),
                f"{each.timer}{left}",
                str(each.retrans or ""),
                str(each.rqueue or ""),
                # For a listener it is the backlog.
                str(each.wqueue or "") if not listens else f"/{each.wqueue}",
                style="dim" if each.state is State.CLOSED else "",
            )
        return table
