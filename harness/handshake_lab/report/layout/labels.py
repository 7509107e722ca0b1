"""The labels of a segment's arrow, from the longest to the shortest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.text import cells
from handshake_lab.tcp.flags import names

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment


def numbers(segment: TransmittedSegment) -> str:
    """``seq=1 ack=1 len=5``: relative numbers; ``ack`` only if the flag is set, ``len`` only if there is data."""
    if segment.protocol == "UDP":
        return f"len={segment.length}"
    parts = [f"seq={segment.rel_seq}"]
    if "A" in segment.flags:
        parts.append(f"ack={segment.rel_ack}")
    if segment.length:
        parts.append(f"len={segment.length}")
    return " ".join(parts)


def forms(segment: TransmittedSegment, again: str) -> list[str]:
    """The possible labels of a segment, the longest first.

    Args:
        segment: The segment.
        again: The mark of a retransmission, which precedes the number of the original segment.
    """
    if segment.protocol == "UDP" and not segment.icmp:
        return [f"#{segment.number} UDP {numbers(segment)}", f"#{segment.number} UDP"]
    if segment.icmp:
        return [f"#{segment.number} {segment.name}", f"#{segment.number} ICMP"]
    tail = f" {repeat}" if (repeat := original(segment, again)) else ""
    name = f"#{segment.number} {names(segment.flags)}"
    short = f"#{segment.number} {segment.flags or '-'}"
    return [
        f"{name} {numbers(segment)}{tail}",
        f"{short} {numbers(segment)}{tail}",
        f"{name}{tail}",
        f"{short}{tail}",
        # A retransmission names its original at any width: rather that than its flags.
        f"#{segment.number}{tail}" if tail else short,
    ]


def original(segment: TransmittedSegment, again: str) -> str:
    """The mark of a retransmission with the number of the original segment; "" if it is none."""
    return f"{again}#{segment.retransmits}" if segment.retransmits is not None else ""


def fitting(candidates: list[str], room: int) -> str:
    """The first label that fits, or an empty string."""
    return next((form for form in candidates if cells.width(form) <= room), "")
