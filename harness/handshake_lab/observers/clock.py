"""One clock for all observers: nanoseconds of CLOCK_MONOTONIC since the run began."""

from __future__ import annotations

import time
from datetime import UTC, datetime

#: The distance in nanoseconds within which two readings count as simultaneous, and the number of attempts.
_CLOSE, _TRIES = 20_000, 8


class Clock:
    """Converts the timestamps of the observers to the clock of the run.

    Tracepoints use CLOCK_MONOTONIC (``trace_clock=mono``). Packets have timestamps of
    CLOCK_REALTIME (SO_TIMESTAMPNS), which can be stepped and slewed: every `tick` measures the
    offset between the two clocks again.

    Args:
        virtual: Time is virtual, as in the lab kernel. There each reading of CLOCK_BOOTTIME takes virtual time
            (``_TICKS`` in handshake_lab/kernel/lab/build/configuration.py), so that events between two calls of `now`
            have times between their results. A lab kernel's CLOCK_BOOTTIME is equal to its CLOCK_MONOTONIC.
    """

    def __init__(self, *, virtual: bool = False) -> None:
        self.virtual = virtual  #: whether time is virtual, as in the lab kernel
        self._clock = time.CLOCK_BOOTTIME if virtual else time.CLOCK_MONOTONIC
        self._real_minus_mono = 0
        self.start()

    def start(self) -> None:
        """Begin the run: the current time becomes 0."""
        self._zero = time.clock_gettime_ns(self._clock)
        self.tick()
        self.started = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")

    def tick(self) -> None:
        """Measure the offset between the two clocks again.

        The process may have to wait for a processor between the two readings: the closest pair is used.
        """
        closest = -1
        for _ in range(_TRIES):
            before = time.monotonic_ns()
            real = time.clock_gettime_ns(time.CLOCK_REALTIME)
            apart = time.monotonic_ns() - before
            if closest < 0 or apart < closest:
                closest, self._real_minus_mono = apart, real - before - apart // 2
            if closest < _CLOSE:
                return

    def now(self) -> int:
        """The current time, in nanoseconds since the run began."""
        return time.clock_gettime_ns(self._clock) - self._zero

    def to_monotonic(self, t: int) -> int:
        """Convert a time of this clock to CLOCK_MONOTONIC."""
        return t + self._zero

    def from_monotonic(self, nanoseconds: int) -> int:
        """Convert a CLOCK_MONOTONIC timestamp to this clock."""
        return nanoseconds - self._zero

    def from_real(self, nanoseconds: int) -> int:
        """Convert a CLOCK_REALTIME timestamp to this clock."""
        return nanoseconds - self._real_minus_mono - self._zero
