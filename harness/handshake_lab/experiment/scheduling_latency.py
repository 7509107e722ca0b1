"""How late this machine is: a thread that wants to wake at a steady pace, and measures by how much it does not.

Where time is real, a test's programs share their processors with others, and so do a kernel's
timers. What was documented is late by about as much as this thread is.
"""

from __future__ import annotations

import threading
import time
from typing import Self

#: Seconds between two beats.
_PACE = 0.02

#: A piece of work, and the seconds that an ordinary machine takes for it: an emulated one takes twenty times as long.
_STEPS, _ORDINARY = 20_000, 0.0005


def slowness() -> float:
    """How many times slower than an ordinary machine this one computes; 1 if it is not slower.

    The best of several tries: what others take away shows in the beats.
    """
    tries = []
    for _ in range(5):
        began = time.perf_counter()
        sum(range(_STEPS))
        tries.append(time.perf_counter() - began)
    return max(1.0, min(tries) / _ORDINARY)


class SchedulingLatency:
    """Measures from the beginning of the ``with`` block to its end."""

    def __init__(self) -> None:
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="pulse")
        self._latest = 0.0
        #: How many times slower than an ordinary machine this one computes.
        self.slowness = slowness()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _beat(self) -> None:
        due = time.monotonic() + _PACE
        while not self._ends.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self._latest = max(self._latest, now - due)
            due = now + _PACE

    def late(self) -> float:
        """The latest beat so far, in seconds."""
        return self._latest
