"""Faults on servers: which of them act, when a stopped server continues, and a restart that fails."""

from __future__ import annotations

import subprocess
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.experiment.program_setup import ProgramSetup
from handshake_lab.experiment.running_program import RunningProgram
from handshake_lab.experiment.servers import Servers
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.program import ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.recording.observations import Observation

SECOND = 1_000_000_000


class Server:
    """Records what is done to it."""

    spec = ProgramSpec("server-1", "h2", "server", "serve")

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.done: list[str] = []

    def kill(self) -> None:
        """It ends at once."""
        self.ended.set()

    def restart(self) -> None:
        """Recorded."""
        self.done.append("restart")

    def stop(self) -> None:
        """Recorded."""
        self.done.append("stop")

    def cont(self) -> None:
        """Recorded."""
        self.done.append("cont")


class Run:
    """A clock that is set by hand, and the actions of a run that are due later."""

    def __init__(self) -> None:
        self.t = 0
        self.due: list[tuple[int, Callable[[], None]]] = []
        self.reported: list[Observation] = []
        self.servers = Servers(cast("Any", self), cast("Any", self), self.reported.append)

    def now(self) -> int:
        """The time of the run."""
        return self.t

    def later(self, at: int, act: Callable[[], None]) -> None:
        """Call a function at a time."""
        self.due.append((at, act))

    def go(self, to: int) -> None:
        """Let the time pass."""
        for at, act in sorted(self.due, key=lambda each: each[0]):
            if self.t < at <= to:
                self.t = at
                act()
        self.t = to


def test_a_fault_without_a_running_server_does_nothing() -> None:
    """It is not counted as fired: neither before the server was started, nor after it has ended."""
    run, server = Run(), Server()
    kill = Fault.parse("kill h2 on DATA")

    assert not run.servers.act(kill)
    run.servers.add(server)
    assert not run.servers.act(Fault.parse("kill h1 on DATA"))
    assert run.servers.act(kill)
    assert server.ended.is_set()
    assert not run.servers.act(kill)


def test_a_server_continues_at_the_end_of_the_last_stop() -> None:
    """Of two stops that overlap, the one that ends first does not continue it; a later stop is another one."""
    run, server = Run(), Server()
    run.servers.add(server)

    run.servers.act(Fault.parse("stop h2 10s on DATA"))
    run.go(4 * SECOND)
    run.servers.act(Fault.parse("stop h2 10s on DATA"))
    run.go(13 * SECOND)
    assert server.done == ["stop", "stop"]
    run.go(15 * SECOND)
    assert server.done == ["stop", "stop", "cont"]
    run.servers.act(Fault.parse("stop h2 1s on DATA"))
    run.go(20 * SECOND)

    assert server.done == ["stop", "stop", "cont", "stop", "cont"]
    assert len(run.reported) == 6


@pytest.fixture
def program(tmp_path: Path) -> tuple[RunningProgram, list[Any]]:
    """A program of this machine, and what is reported about it."""
    reported: list[Any] = []
    (tmp_path / "serve").write_text("#!/bin/sh\nexec sleep 100\n")
    (tmp_path / "serve").chmod(0o755)
    recording = SimpleNamespace(
        results=tmp_path,
        clock=SimpleNamespace(now=lambda: 0),
        network={"h2": SimpleNamespace(popen=subprocess.Popen)},
        programs={},
        report=reported.append,
    )
    spec = ProgramSpec("server-1", "h2", "server", f"{tmp_path}/serve")
    return RunningProgram(cast("Any", recording), spec, ProgramSetup()), reported


def test_a_restart_starts_the_program_again(program: tuple[RunningProgram, list[Any]]) -> None:
    """As another process."""
    running, reported = program
    before = running.pid

    running.restart()

    assert running.pid != before
    assert running.status is None
    running.kill()
    assert running.wait(10) == -9
    running.restart()
    running.stop()
    running.cont()
    assert [each.phase for each in reported] == ["starts", "ends", "starts", "ends"]


@pytest.mark.parametrize("lack", ["file", "other"])
def test_a_restart_that_fails(
    program: tuple[RunningProgram, list[Any]], lack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises the reason, and the program has ended; it is not reported as started."""
    running, reported = program
    expected: type[Exception] = UsageError
    if lack == "file":
        (tmp_path / "serve").unlink()
    else:
        expected = RuntimeError
        monkeypatch.setattr(running, "_launched", mock.Mock(side_effect=RuntimeError("cannot be started")))

    with pytest.raises(expected, match="cannot be started"):
        running.restart()

    assert running.ended.wait(10)
    assert running.wait(10) == -9
    assert [each.phase for each in reported] == ["starts", "ends"]
    running.close()
