"""The scheduling latency of this machine, measured by a thread that wakes up at regular intervals.

In real time, the programs and kernel timers of a test share the processors with other programs. The events that a test
waits for are delayed by about the latency of this thread.
"""

from __future__ import annotations

import threading
import time
from typing import Self

#: Seconds between two wake-ups.
_PACE = 0.02

#: A number of steps, and the seconds that an ordinary machine needs for them. An emulated one needs 20 times as long.
_STEPS, _ORDINARY = 20_000, 0.0005


def slowness() -> float:
    """How many times slower than an ordinary machine this one computes; 1 if it is not slower.

    The minimum of several measurements, so that the load by other programs, which is part of the latency, is excluded.
    """
    tries = []
    for _ in range(5):
        began = time.perf_counter()
        sum(range(_STEPS))
        tries.append(time.perf_counter() - began)
    return max(1.0, min(tries) / _ORDINARY)


class SchedulingLatency:
    """Measures the latency while the ``with`` block runs."""

    def __init__(self) -> None:
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True, name="scheduling-latency")
        self._latest = 0.0
        #: How many times slower than an ordinary machine this one computes.
        self.slowness = slowness()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _measure(self) -> None:
        due = time.monotonic() + _PACE
        while not self._ends.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self._latest = max(self._latest, now - due)
            due = now + _PACE

    def late(self) -> float:
        """The longest latency so far, in seconds."""
        return self._latest
