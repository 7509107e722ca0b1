"""A timer as a file descriptor; Python has one since 3.13.

select, poll and epoll may return up to 0.1 % of their timeout too late (fs/select.c,
select_estimate_accuracy): 0.3 ms in 300 ms, which is visible in virtual time. A timer
descriptor has no such slack.

Source: timerfd_create(2).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time

from handshake_lab.errors import SystemCallFailed

_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_libc = ctypes.CDLL(None, use_errno=True)


class KernelTimer:
    """A descriptor that becomes readable at a given time of the monotonic clock."""

    def __init__(self) -> None:
        self._descriptor = _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise SystemCallFailed(ctypes.get_errno(), "timerfd_create()")

    def fileno(self) -> int:
        """The descriptor, for select, poll and epoll."""
        return int(self._descriptor)

    def set(self, moment: int | None) -> None:
        """Become readable at a time (nanoseconds of the monotonic clock); None: never."""
        # struct itimerspec: no interval; a value of 0 would disarm the timer.
        seconds, nanoseconds = divmod(max(1, moment), 10**9) if moment is not None else (0, 0)
        value = struct.pack("=qqqq", 0, 0, seconds, nanoseconds)
        if _libc.timerfd_settime(self._descriptor, _ABSOLUTE, value, None) != 0:
            raise SystemCallFailed(ctypes.get_errno(), "timerfd_settime()")

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def sleep_until(moment: int) -> None:
    """Sleep until a time of the monotonic clock, to the nanosecond; return at once if it has passed.

    Does not read the clock, which takes time in the lab kernel: how often `time.sleep` reads it depends on Python's
    version.

    Args:
        moment: Nanoseconds of the monotonic clock.
    """
    timer = KernelTimer()
    try:
        timer.set(moment)
        select.select([timer.fileno()], [], [])
    finally:
        timer.close()
