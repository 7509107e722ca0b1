"""Arithmetic on sequence numbers, which wrap at 2^32 (RFC 9293, section 3.4)."""

from __future__ import annotations

_MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000


def add(seq: int, count: int) -> int:
    """The sequence number ``count`` octets after ``seq``; before it, if ``count`` is negative."""
    return (seq + count) & _MASK


def distance(start: int, end: int) -> int:
    """The number of octets from ``start`` to ``end``; negative if ``end`` is before ``start``.

    Correct for numbers that differ by less than 2^31, as in a connection.
    """
    return ((end - start + _HALF) & _MASK) - _HALF


def before(a: int, b: int) -> bool:
    """Whether ``a`` comes before ``b`` (``before()`` of include/net/tcp.h)."""
    return distance(a, b) > 0


def after(a: int, b: int) -> bool:
    """Whether ``a`` comes after ``b`` (``after()`` of include/net/tcp.h)."""
    return distance(b, a) > 0


def between(low: int, seq: int, high: int) -> bool:
    """Whether ``seq`` lies in [low, high] (``between()`` of include/net/tcp.h)."""
    return ((high - low) & _MASK) >= ((seq - low) & _MASK)


def occupied(flags: str, length: int) -> int:
    """How many sequence numbers a segment occupies: one per byte of payload, and one each for SYN and FIN."""
    return length + ("S" in flags) + ("F" in flags)
