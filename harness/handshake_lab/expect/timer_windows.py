"""Windows for times that kernel timers determine.

All times here are seconds, as in the documents; those of a record are nanoseconds (`seconds` converts them).

    >>> seconds(1_016_000_000) == approx_timer(1.0)
    True
    >>> 2.0 == approx_timer(1.0, plus=0.1)
    False
    >>> approx_timer(1.0, plus=0.1)
    a timer of 1 s + 0.1 s: 1.1 to 1.24 s
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.tcp.timers import SECOND, Schedule, Window
from handshake_lab.tcp.timers import seconds as nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.recording.observations import KernelInfo

#: The lowest HZ that Linux is built with: windows with its tolerance are valid for every kernel.
SLOWEST_HZ = 100
#: Seconds by which a segment may arrive later than the link's delay. In the lab kernel, computing takes no time.
COMPUTING = 0.005
#: The same in real time, also for timers: programs need time to compute, and share the processors with others. It is
#: multiplied by the slowness of the machine, and twice the measured scheduling latency is added. Nothing may be early.
COMPUTING_IN_REAL_TIME = 0.05
#: Seconds by which the clocks of two observers may differ.
_CLOCKS = 0.0001


class _Tolerance:
    """The tolerances for the kernel of the present test."""

    real = False
    slowness = 1.0  #: how many times slower than an ordinary machine this one computes
    latency: Callable[[], float] = staticmethod(lambda: 0.0)  #: the measured scheduling latency in seconds

    @classmethod
    def timers_late_by(cls) -> float:
        """Seconds by which a timer may be late, in addition to the kernel's own tolerance."""
        return COMPUTING_IN_REAL_TIME * cls.slowness + 2 * cls.latency() if cls.real else 0.0

    @classmethod
    def late_by(cls) -> float:
        """Seconds by which a segment may be late."""
        return cls.timers_late_by() if cls.real else COMPUTING


def expect_of(kernel: KernelInfo, latency: Callable[[], float] = lambda: 0.0, slowness: float = 1.0) -> None:
    """Set the tolerances of all windows for a kernel. The fixture ``net`` calls it.

    Args:
        kernel: The kernel of the test.
        latency: Returns the scheduling latency of this machine, as measured up to now, in seconds.
        slowness: How many times slower than an ordinary machine this one computes.
    """
    _Tolerance.slowness = slowness
    _Tolerance.real = kernel.computing_takes_time
    _Tolerance.latency = staticmethod(latency)


def seconds(nanoseconds: int) -> float:
    """Convert a time of a record from nanoseconds to seconds."""
    return nanoseconds / SECOND


class TimeWindow:
    """A window that is equal to every number within it.

    Args:
        what: The description of the time in messages.
        earliest: Seconds.
        latest: Seconds.
    """

    __hash__ = None  # type: ignore[assignment]  # equal to many numbers

    def __init__(self, what: str, earliest: float, latest: float) -> None:
        self._what = what
        self.earliest = earliest
        self.latest = latest

    def __eq__(self, measured: object) -> bool:
        if not isinstance(measured, int | float):
            return NotImplemented
        return self.earliest - 1e-9 <= measured <= self.latest + 1e-9

    def __repr__(self) -> str:
        return f"{self._what}: {_s(self.earliest)} to {_s(self.latest)} s"


def approx_timer(*timers: float, plus: float = 0.0, hz: int = SLOWEST_HZ) -> TimeWindow:
    """When a kernel timer expires: one that is set to t, within [t, t·1.125 + 1 jiffy] (kernel/time/timer.c).

    Args:
        timers: The time in seconds that it is set to; several, if each is set when the previous one has expired.
        plus: Additional seconds until the effect is observed, such as a round trip.
        hz: The kernel's HZ (ticks per second).
    """
    windows = [Window.of(nanoseconds(timer), hz=hz) for timer in timers]
    what = " + ".join(f"a timer of {_s(timer)} s" for timer in timers) + (f" + {_s(plus)} s" if plus else "")
    # In real time, the additional time is a little longer than given.
    late = plus + _Tolerance.late_by() if plus else 0.0
    late += _Tolerance.timers_late_by() * len(timers)
    return TimeWindow(
        what,
        seconds(sum(window.earliest for window in windows)) + plus,
        seconds(sum(window.latest for window in windows)) + late,
    )


def approx_trip(time: float) -> TimeWindow:
    """How long segments take on a path: the delay of the links, and in real time a little more.

    Args:
        time: The delay in seconds, for example ``net.rtt``.
    """
    return TimeWindow(f"a trip of {_s(time)} s", time - _CLOCKS, time + _Tolerance.late_by())


class TimeWindows:
    """Windows for the waits between successive times; equal to every list of times with such waits."""

    __hash__ = None  # type: ignore[assignment]  # equal to many lists

    def __init__(self, waits: Iterable[TimeWindow]) -> None:
        self._waits = list(waits)

    def __eq__(self, measured: object) -> bool:
        if not isinstance(measured, list | tuple):
            return NotImplemented
        waits = [later - earlier for earlier, later in pairwise(measured)]
        return len(measured) == len(self._waits) + 1 and all(
            wait == expected for wait, expected in zip(waits, self._waits, strict=True)
        )

    def __repr__(self) -> str:
        waits = ", ".join(f"{_s(wait.earliest)}-{_s(wait.latest)}" for wait in self._waits)
        return f"{len(self._waits) + 1} times with waits of {waits or 'none'} s between them"


def approx_waits(*waits: float, hz: int = SLOWEST_HZ) -> TimeWindows:
    """Times with timers between them: ``approx_waits(1, 2, 4)`` is equal to a list of four times.

    Args:
        waits: The time in seconds that each timer is set to.
        hz: The kernel's HZ (ticks per second).
    """
    return TimeWindows(approx_timer(wait, hz=hz) for wait in waits)


def approx_times(schedule: Schedule, *, hz: int = SLOWEST_HZ) -> TimeWindows:
    """The times at which a segment is sent that is never acknowledged.

    Args:
        schedule: The documented schedule, such as `handshake_lab.syn_schedule` returns.
        hz: The kernel's HZ (ticks per second).
    """
    times = [0, *schedule.again]
    return approx_waits(*(seconds(later - earlier) for earlier, later in pairwise(times)), hz=hz)


def approx_giving_up(schedule: Schedule, *, hz: int = SLOWEST_HZ) -> TimeWindow:
    """How long after its first transmission the kernel gives up a segment that is never acknowledged.

    Args:
        schedule: The documented schedule, such as `handshake_lab.syn_schedule` returns.
        hz: The kernel's HZ (ticks per second).
    """
    window = schedule.window(-1, hz=hz)
    what = f"{schedule.sendings} timers of {_s(seconds(schedule.fails))} s in all"
    # Each timer is set when the previous one has expired, so that their delays add up.
    late = _Tolerance.timers_late_by() * schedule.sendings
    return TimeWindow(what, seconds(window.earliest), seconds(window.latest) + late)


def _s(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
