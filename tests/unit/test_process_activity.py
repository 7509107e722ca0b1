"""What a process is said to do, for processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.linux.process_activity import described, shows_stack_when_aborted
from polling import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator

RECEIVES = "import socket; a, b = socket.socketpair(); a.recv(1)"
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/syscall").exists(), reason="this machine's kernel does not show the system call of a process"
)


@contextlib.contextmanager
def running(*command: str) -> Iterator[int]:
    """A program, in a session of its own; its PID."""
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["sleep", "100"], "waits in clock_nanosleep()"),
        (["sh", "-c", "sleep 100; true"], "waits in wait4(); sleep waits in clock_nanosleep()"),
        ([sys.executable, "-c", "while True: pass"], "computes"),
        ([sys.executable, "-c", "import signal; signal.pause()"], "waits in pause()"),
    ],
)
def test_a_running_process(command: list[str], expected: str) -> None:
    """It waits, with the children for which it waits, or computes."""
    with running(*command) as pid:
        assert comes_true(lambda: described(pid) == expected), described(pid)


def test_the_descriptor_is_named() -> None:
    """What a program reads from."""
    with running(sys.executable, "-c", RECEIVES) as pid:
        assert comes_true(lambda: described(pid).startswith("waits in recvfrom() on socket:["))


def test_a_stopped_process() -> None:
    """Whatever it did before."""
    with running("sleep", "100") as pid:
        os.kill(pid, signal.SIGSTOP)
        assert comes_true(lambda: described(pid) == "is stopped")


def test_a_process_that_has_ended() -> None:
    """Nothing is said of it, before and after its parent knows."""
    with subprocess.Popen(["true"]) as process:
        assert comes_true(lambda: described(process.pid) == "")
    assert described(process.pid) == ""


@pytest.mark.parametrize(
    ("code", "shows"),
    [
        ("import faulthandler; faulthandler.enable()", True),
        ("", False),
        ("import faulthandler; faulthandler.enable(); signal.signal(signal.SIGTERM, print)", False),
    ],
)
def test_whose_stack_can_be_had(code: str, shows: bool) -> None:
    """One that ends itself in its own way at SIGTERM is left to do so."""
    with running(sys.executable, "-c", f"import signal\n{code}\nsignal.pause()") as pid:
        assert comes_true(lambda: described(pid) == "waits in pause()")
        assert shows_stack_when_aborted(pid) is shows
