"""The sockets of a running run: the board that collects them, and its two views."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import threading
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import RecordUnreadable
from handshake_lab.recording.events_file import Follower, Writer
from handshake_lab.recording.observations import (
    FORMAT_VERSION,
    KernelInfo,
    Observation,
    Program,
    RunHeader,
    SocketGone,
    SocketSeen,
)
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.terminal.live import watching
from handshake_lab.report.terminal.socket_board import LINGERS, SocketBoard
from handshake_lab.tcp.states import State
from polling import comes_true
from strategies import ANY, CLIENT, SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MS = 1_000_000
HEADER = RunHeader(
    0, FORMAT_VERSION, KernelInfo("host", "6.1.0", 250, None), "pair", {"h1": [CLIENT.ip]}, [], [], {}, "2026-01-01"
)


def seen(at: int, state: State, cookie: int = 7, **more: object) -> SocketSeen:
    """The observation of a client's socket by a poll; the time in milliseconds."""
    return SocketSeen(at * MS, 0, "h1", cookie, state, CLIENT, SERVER, **more)  # type: ignore[arg-type]


def gone(at: int, cookie: int = 7) -> SocketGone:
    """The observation that it was gone."""
    return SocketGone(at * MS, 0, "h1", cookie, State.TIME_WAIT, CLIENT, SERVER)


def test_each_new_state_is_a_line() -> None:
    """Queues and timers that change are none."""
    board = SocketBoard()
    lines = board.take(
        [HEADER, seen(1, State.SYN_SENT), seen(51, State.ESTABLISHED), seen(60, State.ESTABLISHED, wqueue=5), gone(70)]
    )

    assert lines == [
        f"    0.{at} h1 10.0.0.1:40000 > 10.0.0.2:80 {state}"
        for at, state in (("001000", "SYN-SENT"), ("051000", "ESTABLISHED"), ("070000", "CLOSED"))
    ]


def test_programs_are_lines_and_harmless() -> None:
    """What they are called may hold anything."""
    board = SocketBoard()
    start = Program(1 * MS, "h1", "h1-client-1", "echo \x1b[2J", "starts")

    assert board.take([start]) == ["    0.001000 h1-client-1: echo \\x1b[2J"]
    assert board.take([Program(2 * MS, "h1", "h1-client-1", "", "ends", "SIGTERM")]) == [
        "    0.002000 h1-client-1: SIGTERM"
    ]


def test_an_entry_has_what_the_last_look_showed() -> None:
    """And knows since when its state has been that, and when its timer is due."""
    board = SocketBoard()
    board.take([seen(1, State.SYN_SENT, timer="on", expires=1000 * MS), seen(9, State.SYN_SENT, timer="on", retrans=2)])
    (entry,), more = board.entries(9 * MS, 10)

    assert (entry.state, entry.since, entry.timer, entry.due, entry.retrans) == (State.SYN_SENT, MS, "on", 9 * MS, 2)
    assert more == 0


def test_ss_is_not_shown_twice() -> None:
    """Output of ss at a checkpoint may lack cookies: the board uses polls only."""
    board = SocketBoard()
    board.take([seen(1, State.ESTABLISHED), seen(2, State.ESTABLISHED, cookie=0, observer="ss")])

    assert len(board.entries(2 * MS, 10)[0]) == 1


def test_what_is_gone_stands_a_while() -> None:
    """Long enough to be seen."""
    board = SocketBoard()
    board.take([seen(1, State.ESTABLISHED), gone(5)])

    assert [entry.state for entry in board.entries(6 * MS, 10)[0]] == [State.CLOSED]
    assert board.entries(5 * MS + LINGERS, 10) == ([], 0)


def test_with_little_room_the_latest_are_shown_and_the_others_counted() -> None:
    """By number, and by state."""
    board = SocketBoard()
    board.take(seen(at, State.TIME_WAIT if at % 2 else State.ESTABLISHED, cookie=at) for at in range(1, 101))
    entries, more = board.entries(100 * MS, 3)

    assert [entry.changed for entry in entries] == [98 * MS, 99 * MS, 100 * MS]
    assert more == 97
    assert board.counts() == {"h1": {State.TIME_WAIT: 50, State.ESTABLISHED: 50}}


def test_a_follower_reads_whole_lines_as_they_come(tmp_path: Path) -> None:
    """Before there is a file, in the middle of a line, and again when nothing is new."""
    follower = Follower(tmp_path)
    before = follower.read()
    with Writer(tmp_path / EVENTS) as writer:
        writer.write(HEADER)
        first = follower.read()
        writer.write(seen(1, State.SYN_SENT))
        content = (tmp_path / EVENTS).read_bytes()
        (tmp_path / EVENTS).write_bytes(content[:-10])
        cut = follower.read()
        with (tmp_path / EVENTS).open("ab") as file:
            file.write(content[-10:])

        assert (before, first, cut, follower.read(), follower.read()) == (
            [],
            [HEADER],
            [],
            [seen(1, State.SYN_SENT)],
            [],
        )


def test_a_follower_tells_of_damage_by_its_line(tmp_path: Path) -> None:
    """Counted from the file's beginning, not from the last reading."""
    follower = Follower(tmp_path)
    with Writer(tmp_path / EVENTS) as writer:
        writer.write_all([HEADER, gone(1)])
        follower.read()
        with (tmp_path / EVENTS).open("ab") as file:
            file.write(b"nonsense\n")

        with pytest.raises(RecordUnreadable, match="line 3: damaged"):
            follower.read()


def write(directory: Path, *observations: Observation) -> None:
    """Write some of a run."""
    with Writer(directory / EVENTS) as writer:
        writer.write_all(observations)


def test_elsewhere_than_on_a_terminal_there_are_lines(tmp_path: Path) -> None:
    """Changes are printed at once; at the end, all remaining lines."""
    stream = io.StringIO()
    with watching(tmp_path, real_time=True, stream=stream):
        write(tmp_path, HEADER, seen(1, State.SYN_SENT))
        assert comes_true(lambda: stream.getvalue() == "    0.001000 h1 10.0.0.1:40000 > 10.0.0.2:80 SYN-SENT\n")
        write(tmp_path, gone(5))

    assert stream.getvalue().endswith("CLOSED\n")


def test_an_error_of_the_record_is_not_swallowed(tmp_path: Path) -> None:
    """It is raised in the thread that uses the view."""
    (tmp_path / EVENTS).write_bytes(b'{"type":"run","version":99}\n')

    with pytest.raises(RecordUnreadable, match="version 99"), watching(tmp_path, real_time=True, stream=io.StringIO()):
        pass


class Terminal:
    """A terminal of 110 columns, and what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w")
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while True:
                self._parts.append(os.read(self._ours, 1 << 16))

    @property
    def lines(self) -> list[str]:
        """All lines up to now, drawn over or not."""
        return b"".join(self._parts).decode(errors="replace").splitlines()

    def close(self) -> None:
        """Hang up; what was written is still there."""
        self.stream.close()
        self._reader.join()
        os.close(self._ours)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal that can draw."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "110"), ("LINES", "30")):
        monkeypatch.setenv(name, value)
    made = Terminal()
    yield made
    if not made.stream.closed:
        made.close()


def test_on_a_terminal_there_is_a_table(tmp_path: Path, terminal: Terminal) -> None:
    """Sockets with state, timer and queues; the table is updated, and removed at the end."""
    listener = SocketSeen(2 * MS, 0, "h2", 9, State.LISTEN, SERVER, ANY, wqueue=128)
    with watching(tmp_path, real_time=False, stream=terminal.stream):
        write(tmp_path, HEADER, listener, seen(51, State.ESTABLISHED, timer="on", expires=204 * MS, wqueue=17))
        assert comes_true(lambda: any("10.0.0.1:40000" in line for line in terminal.lines))
    terminal.close()
    (row,) = {line.strip() for line in terminal.lines if "10.0.0.1:40000" in line}

    assert [word for word in row.split() if word not in "│┃"] == [
        "h1", "10.0.0.1:40000", "→", "10.0.0.2:80", "ESTABLISHED", "0", "s", "on", "204", "ms", "17",
    ]  # fmt: skip
    shown = "\n".join(terminal.lines)
    assert "Send-Q" in shown
    assert "/128" in shown
    assert "h1: 1 ESTABLISHED · h2: 1 LISTEN" in shown
    assert shown.rstrip().endswith("\x1b[2K")  # the last of it is wiped away


def test_where_time_is_real_timers_count_down(tmp_path: Path, terminal: Terminal) -> None:
    """Between two observations, too."""

    def left() -> set[float]:
        return {float(line.split(" on ")[1].split("s")[0]) for line in terminal.lines if " on " in line}

    with watching(tmp_path, real_time=True, stream=terminal.stream):
        write(tmp_path, HEADER, seen(51, State.FIN_WAIT_1, timer="on", expires=90_000 * MS))
        assert comes_true(lambda: len(left()) > 2)

    assert max(left()) <= 90
