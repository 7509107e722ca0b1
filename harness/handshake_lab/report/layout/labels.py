"""What is written on a segment's arrow, from the fullest form to the shortest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.text import cells
from handshake_lab.tcp.flags import names

if TYPE_CHECKING:
    from handshake_lab.recording.history import Passage


def numbers(passage: Passage) -> str:
    """``seq=1 ack=1 len=5``: relative, the ACK only where the flag is set, the length where there is one."""
    parts = [f"seq={passage.rel_seq}"]
    if "A" in passage.flags:
        parts.append(f"ack={passage.rel_ack}")
    if passage.length:
        parts.append(f"len={passage.length}")
    return " ".join(parts)


def forms(passage: Passage, again: str) -> list[str]:
    """Ways to say what a segment is, the fullest first.

    Args:
        passage: The segment.
        again: The mark of a retransmission, before the number of what it repeats.
    """
    tail = f" {again}#{passage.retransmits}" if passage.retransmits is not None else ""
    name = f"#{passage.number} {names(passage.flags)}"
    short = f"#{passage.number} {passage.flags or '-'}"
    return [
        f"{name} {numbers(passage)}{tail}",
        f"{short} {numbers(passage)}{tail}",
        f"{name}{tail}",
        f"{short}{tail}",
        short,
    ]


def fitting(candidates: list[str], room: int) -> str:
    """The first form that fits, or nothing."""
    return next((form for form in candidates if cells.width(form) <= room), "")
