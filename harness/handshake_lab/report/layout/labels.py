"""What is written on a segment's arrow, from the fullest form to the shortest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.text import cells
from handshake_lab.tcp.flags import names

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment


def numbers(segment: TransmittedSegment) -> str:
    """``seq=1 ack=1 len=5``: relative, the ACK only where the flag is set, the length where there is one."""
    parts = [f"seq={segment.rel_seq}"]
    if "A" in segment.flags:
        parts.append(f"ack={segment.rel_ack}")
    if segment.length:
        parts.append(f"len={segment.length}")
    return " ".join(parts)


def forms(segment: TransmittedSegment, again: str) -> list[str]:
    """Ways to say what a segment is, the fullest first.

    Args:
        segment: The segment.
        again: The mark of a retransmission, before the number of what it repeats.
    """
    tail = f" {again}#{segment.retransmits}" if segment.retransmits is not None else ""
    name = f"#{segment.number} {names(segment.flags)}"
    short = f"#{segment.number} {segment.flags or '-'}"
    return [
        f"{name} {numbers(segment)}{tail}",
        f"{short} {numbers(segment)}{tail}",
        f"{name}{tail}",
        f"{short}{tail}",
        short,
    ]


def fitting(candidates: list[str], room: int) -> str:
    """The first form that fits, or nothing."""
    return next((form for form in candidates if cells.width(form) <= room), "")
