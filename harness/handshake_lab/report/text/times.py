"""Formats nanoseconds for readers and for programs."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000


def seconds(ns: int) -> str:
    """Seconds as an exact decimal with all nine digits: ``0.050041000``."""
    sign = "-" if ns < 0 else ""
    whole, part = divmod(abs(ns), SECOND)
    return f"{sign}{whole}.{part:09d}"


def exact(ns: int) -> Decimal:
    """Seconds as an exact `Decimal`."""
    return Decimal(seconds(ns))


def clock(ns: int, digits: int = 6) -> str:
    """A time on the run's clock with this many decimals; truncated, not rounded, so that the order is kept."""
    return seconds(ns)[: digits - 9] if digits < 9 else seconds(ns)


def digits_for(times: list[int]) -> int:
    """The number of decimals that distinguishes these times: 3 if milliseconds do, otherwise 6.

    Times less than 300 µs apart count as one and need not be distinguished.
    """
    ordered = sorted(set(times))
    gaps = [after - before for before, after in pairwise(ordered)]
    return 3 if all(gap >= MILLISECOND or gap <= 300 * MICROSECOND for gap in gaps) else 6


def with_time_wait(ns: int, time_wait: int, micro: str = "µs") -> str:
    """The duration of a connection, with that of its TIME-WAIT separate: ``850 ms + 61.6 s TIME-WAIT``.

    Args:
        ns: Its duration without TIME-WAIT, in nanoseconds.
        time_wait: The duration of its TIME-WAIT in nanoseconds; 0 if it has none.
        micro: The sign of a microsecond.
    """
    return span(ns, micro) + (f" + {span(time_wait, micro)} TIME-WAIT" if time_wait else "")


def span(ns: int, micro: str = "µs") -> str:
    """A length of time with three significant digits and a unit that fits: ``59.9 s``, ``50 ms``.

    Args:
        ns: The length in nanoseconds.
        micro: The unit of microseconds, for output without µ.
    """
    if ns < 0:
        return "-" + span(-ns, micro)
    if ns == 0:
        return "0 s"
    for unit, size in (("s", SECOND), ("ms", MILLISECOND), (micro, MICROSECOND)):
        if ns >= size:
            return f"{_three_digits(ns, size)} {unit}"
    return f"{ns} ns"


def _three_digits(ns: int, size: int) -> str:
    # Integer arithmetic gives the same text on every machine.
    for decimals, bound in ((2, 10), (1, 100)):
        if ns < bound * size:
            scaled = (ns * 10**decimals + size // 2) // size
            text = f"{scaled // 10**decimals}.{scaled % 10**decimals:0{decimals}d}"
            return text.rstrip("0").rstrip(".")
    return str((ns + size // 2) // size)
