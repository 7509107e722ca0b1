"""Quantities with units: durations, percentages, rates, counts.

A quantity is parsed exactly, as an integer of its smallest unit. Values that are read back from the kernel can be
compared for equality, and a value that is printed and parsed again is the same.

======== =================== ============================
quantity stored as           syntax
======== =================== ============================
duration nanoseconds         ``50ms``, ``1.5s``, ``300us``
chance   parts per billion   ``1%``, ``0.25%``
rate     bits per second     ``10mbit``, ``56kbit``
count    itself              ``100``
======== =================== ============================
"""

from __future__ import annotations

import re

from handshake_lab.errors import UsageError

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

#: One percent, in parts per billion.
PERCENT = 10_000_000
#: Certainty, in parts per billion.
CERTAIN = 100 * PERCENT

_DURATIONS = {"ns": NANOSECOND, "us": MICROSECOND, "µs": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
_CHANCES = {"%": PERCENT}
# tc's spelling and factors: a kilobit is 1000 bits.
_RATES = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}

_QUANTITY = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]{1,18})(?:\.(?P<part>[0-9]{1,18}))?\s*(?P<unit>[a-zA-Zµ%]*)")

#: The longest duration that is accepted; netem's limit (a signed 64-bit number of nanoseconds) is far beyond.
_LONGEST = 3600 * SECOND
#: More than any virtual link transmits.
_FASTEST = 1000 * 10**9


def _read(field: str, text: object, units: dict[str, int], what: str, example: str) -> int:
    """Parse a quantity as an integer of its smallest unit."""
    names = ", ".join(unit for unit in units if unit != "µs")
    if not isinstance(text, str):
        raise UsageError(field, text, f"has no unit (a {what} is a string with one of {names})", example)
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise UsageError(field, text, f"is not a {what}", example)
    if match["sign"] == "-":
        raise UsageError(field, text, "is negative", example)
    unit = match["unit"]
    if not unit:
        raise UsageError(field, text, f"has no unit ({names})", example)
    factor = units.get(unit) or units.get(unit.lower())
    if factor is None:
        raise UsageError(field, text, f"has the unit {unit!r}, which is not one of a {what}: {names}", example)
    part = match["part"] or ""
    scaled = int(match["whole"] + part) * factor
    finest: int = 10 ** len(part)
    value, rest = divmod(scaled, finest)
    if rest:
        raise UsageError(field, text, "has more decimal places than can be set", example)
    return value


def duration(field: str, text: object, example: str = "50ms") -> int:
    """Parse a duration.

    Returns:
        Nanoseconds, at most an hour.

    Raises:
        UsageError: No unit, negative, not a number, too fine or too long.
    """
    value = _read(field, text, _DURATIONS, "duration", example)
    if value > _LONGEST:
        raise UsageError(field, text, "is longer than an hour", example)
    return value


def chance(field: str, text: object, example: str = "1%") -> int:
    """Parse a probability in percent.

    Returns:
        Parts per billion, 0 to 1,000,000,000.

    Raises:
        UsageError: No ``%``, negative, not a number, or over 100%.
    """
    value = _read(field, text, _CHANCES, "percentage", example)
    if value > CERTAIN:
        raise UsageError(field, text, "is over 100%", example)
    return value


def rate(field: str, text: object, example: str = "10mbit") -> int:
    """Parse a rate.

    Returns:
        Bits per second, at least 8 (netem counts whole bytes per second).

    Raises:
        UsageError: No unit, negative, zero, not a number, or over 1000gbit.
    """
    value = _read(field, text, _RATES, "rate", example)
    if value < 8:
        raise UsageError(field, text, "transmits nothing; to cut a link, use loss=100%", example)
    if value % 8:
        raise UsageError(field, text, "is not a whole number of bytes per second", example)
    if value > _FASTEST:
        raise UsageError(field, text, "is over 1000gbit", example)
    return value


def count(field: str, text: object, example: str = "100", *, most: int = 2**31 - 1) -> int:
    """Parse a count: a positive whole number, as an int or as text.

    Raises:
        UsageError: Not a whole number, below 1, or above ``most``.
    """
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise UsageError(field, text, "is not a whole number", example)
    if isinstance(text, str) and not re.fullmatch(r"\+?[0-9]{1,18}", text.strip()):
        raise UsageError(field, text, "is not a whole number", example)
    value = int(text)
    if value < 1:
        raise UsageError(field, text, "is below 1", example)
    if value > most:
        raise UsageError(field, text, f"is above {most}", example)
    return value


def _decimal(value: int, factor: int) -> str:
    whole, rest = divmod(value, factor)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(factor)) - 1}d}".rstrip("0")


def show_duration(nanoseconds: int) -> str:
    """Format a duration so that `duration` parses it to the same value: 50 ms as ``50ms``."""
    for unit, factor in (("s", SECOND), ("ms", MILLISECOND), ("us", MICROSECOND)):
        if nanoseconds >= factor and (nanoseconds % factor == 0 or factor != SECOND):
            return f"{_decimal(nanoseconds, factor)}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0ms"


def show_chance(billionths: int) -> str:
    """Format a probability so that `chance` parses it to the same value: ``0.25%``."""
    return f"{_decimal(billionths, PERCENT)}%"


def show_rate(bits: int) -> str:
    """Format a rate so that `rate` parses it to the same value: ``10mbit``."""
    for unit, factor in (("gbit", 10**9), ("mbit", 10**6), ("kbit", 10**3)):
        if bits >= factor and bits % (factor // 1000) == 0:
            return f"{_decimal(bits, factor)}{unit}"
    return f"{bits}bit"
