"""The limit of a test in the kernel's time: one that waits for an event that never occurs fails, and reports where."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

from handshake_lab.linux import process_activity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def limited(seconds: float | None, programs: Mapping[int, tuple[str, str]]) -> Iterator[None]:
    """Fail the test where it is, once it has taken longer.

    Args:
        seconds: Of the kernel's time; None for no limit.
        programs: The programs that the test starts, as host and command, by their PIDs.
    """
    if seconds is None:
        yield
        return

    def expired(*_: object) -> None:
        running = [
            f"{node}: {command!r} {doing}"
            for pid, (node, command) in list(programs.items())
            if (doing := process_activity.described(pid))
        ]
        pytest.fail("\n".join((f"the test has taken {seconds:g} s of the kernel's time, which is its limit", *running)))

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
