"""Programs under test: how they are started, when they are ready, and what can be done to them while they run."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import ProgramFailed, UsageError, WaitTimedOut

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab import Net

_SERVE = """
import os, pathlib, signal, socket, sys, time
signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
if sys.argv[1:] == ["file"]:
    pathlib.Path("ready.txt").touch()
server = socket.create_server(("", 80))
print("listening as", os.getuid(), "in", os.getcwd(), "with", os.environ.get("MODE"), flush=True)
while True:
    try:
        peer, _ = server.accept()
        peer.sendall(b"hello")
        peer.close()
    except InterruptedError:
        pass
"""
SERVER = [sys.executable, "-c", _SERVE]


def test_environment_directory_input_and_user(net: Net) -> None:
    """Of a program that is waited for."""
    code = "import os, sys; print(os.environ['A'], os.getcwd(), sys.stdin.read(), os.getuid())"

    done = net.h1.run([sys.executable, "-c", code], env={"A": "b"}, cwd="/usr", stdin="text", user="nobody")

    assert done.stdout == "b /usr text 65534\n"


def test_environment_directory_and_input_of_a_started_program(net: Net) -> None:
    """As above; its output can be read while it runs."""
    program = net.h2.start(SERVER, prints="listening as", env={"MODE": "test"}, cwd="/usr", user="root")

    assert program.output == "listening as 0 in /usr with test\n"
    assert net.h2.start(["cat"], stdin=b"abc").wait() == 0
    assert program.status is None


def test_ready_by_port_by_line_and_by_file(net: Net, tmp_path: Path) -> None:
    """Whichever is asked for holds when start() returns; several mean all of them."""
    net.h2.start([*SERVER, "file"], listening=80, prints="listening", creates=tmp_path / "ready.txt", cwd=tmp_path)

    assert net.h1.connect(("h2", 80)).recv(10) == b"hello"
    assert (tmp_path / "ready.txt").exists()


def test_a_program_that_ends_or_is_never_ready(net: Net, tmp_path: Path) -> None:
    """The errors distinguish both, with what was there instead."""
    dies = [sys.executable, "-c", "raise SystemExit('no such table')"]
    with pytest.raises(ProgramFailed, match=r"exited with status 1 and did not print 'ready'\n(.*\n)*.*no such table"):
        net.h2.start(dies, prints="ready")
    with pytest.raises(WaitTimedOut, match=f"to create {tmp_path}/socket"):
        net.h2.start(["sleep", "1000"], creates=tmp_path / "socket")
    with pytest.raises(WaitTimedOut, match="the end of 'sleep 1000'"):
        net.h1.run(["sleep", "1000"], timeout=5)


def test_signals(net: Net) -> None:
    """A reload, a pause in which only the kernel answers, and a crash."""
    program = net.h2.start(SERVER, listening=80)
    program.signal(signal.SIGHUP)
    net.sleep(0.1)
    assert "reloaded" in program.output

    program.stop()
    client = net.h1.connect(("h2", 80))  # the kernel completes the handshake
    client.settimeout(5)
    with pytest.raises(TimeoutError):
        client.recv(10)
    program.cont()
    assert client.recv(10) == b"hello"

    assert program.pid > 0
    program.kill()
    assert program.wait() == -signal.SIGKILL
    assert not net.h2.sockets() or all(each.state != "LISTEN" for each in net.h2.sockets())


def test_a_stopped_program_is_ended_with_the_test(net: Net) -> None:
    """It does not outlive it, nor delay its end by minutes."""
    net.h2.start(SERVER, listening=80).stop()


@pytest.mark.parametrize("user", ["no-such-user", 54321])
def test_users_that_are_not_there(net: Net, user: str | int) -> None:
    """Refused by name."""
    with pytest.raises(UsageError, match="is not a user of this machine"):
        net.h1.run(["true"], user=user)


def test_what_cannot_be_started(net: Net) -> None:
    """The reason is said, also where the directory is private to the run."""
    with pytest.raises(UsageError, match=r"no-such-program.*cannot be started"):
        net.h1.start(["no-such-program"])
    with pytest.raises(UsageError, match="are private to a run"):
        net.h1.run(["/tmp/no-such-directory/program"])  # noqa: S108
    with pytest.raises(UsageError, match="cwd: '/no/such' is not a directory"):
        net.h1.run(["true"], cwd="/no/such")
