"""Nanoseconds, written for people and for programs."""

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
    """A time on the run's clock, cut (not rounded, so that order is kept) to some digits."""
    return seconds(ns)[: digits - 9] if digits < 9 else seconds(ns)


def digits_for(times: list[int]) -> int:
    """How many decimals tell these times apart: 3 where milliseconds do, else 6.

    What is less than 300 µs apart is one moment to a reader, and need not be told apart.
    """
    ordered = sorted(set(times))
    gaps = [after - before for before, after in pairwise(ordered)]
    return 3 if all(gap >= MILLISECOND or gap <= 300 * MICROSECOND for gap in gaps) else 6


def span(ns: int, micro: str = "µs") -> str:
    """A length of time with three significant digits and a unit that fits: ``59.9 s``, ``50 ms``.

    Args:
        ns: The length in nanoseconds.
        micro: How to write the microsecond where µ cannot be.
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
    # Integer arithmetic: the same text on every machine.
    for decimals, bound in ((2, 10), (1, 100)):
        if ns < bound * size:
            scaled = (ns * 10**decimals + size // 2) // size
            text = f"{scaled // 10**decimals}.{scaled % 10**decimals:0{decimals}d}"
            return text.rstrip("0").rstrip(".")
    return str((ns + size // 2) // size)
