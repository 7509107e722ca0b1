"""One clock for all observers: nanoseconds of CLOCK_MONOTONIC since the recorder started."""

from __future__ import annotations

import time
from datetime import UTC, datetime

#: Nanoseconds within which two readings of clocks are as good as one, and how often that is tried.
_CLOSE, _TRIES = 20_000, 8


class Clock:
    """Converts what observers stamp with into the run's one time.

    Tracepoints are set to CLOCK_MONOTONIC (``trace_clock=mono``). Packets carry
    CLOCK_REALTIME (net/core/timestamping via SO_TIMESTAMPNS), which can be stepped and
    slewed: the offset between both is measured again on every `tick`.
    """

    def __init__(self) -> None:
        self._zero = time.monotonic_ns()
        self._real_minus_mono = 0
        self.tick()
        self.started = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")

    def tick(self) -> None:
        """Measure the offset between the two clocks anew.

        Between reading one and the other this program may have to wait for a processor: the closest readings count.
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
        """The present, in nanoseconds since the recorder started."""
        return time.monotonic_ns() - self._zero

    def from_monotonic(self, nanoseconds: int) -> int:
        """A CLOCK_MONOTONIC stamp on this clock."""
        return nanoseconds - self._zero

    def from_real(self, nanoseconds: int) -> int:
        """A CLOCK_REALTIME stamp on this clock."""
        return nanoseconds - self._real_minus_mono - self._zero
