"""Measures text in terminal cells: a Korean syllable takes two."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def cell(char: str) -> int:
    """How many cells one character takes; a combining one takes none."""
    if char.isascii():
        return 1
    from rich.cells import get_character_cell_size  # noqa: PLC0415 -- ASCII needs no table

    return get_character_cell_size(char)


def width(text: str) -> int:
    """How many cells a text takes, character by character: lines are put together in the same way."""
    return len(text) if text.isascii() else sum(map(cell, text))


def fit(text: str, size: int, more: str = "…") -> str:
    """Truncate a text to at most ``size`` cells; a truncated text ends in ``more``."""
    if width(text) <= size:
        return text
    room = size - width(more)
    kept = []
    for char in text:
        room -= cell(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + more


def left(text: str, size: int) -> str:
    """Pad a text with spaces on its right to ``size`` cells."""
    return text + " " * (size - width(text))


def right(text: str, size: int) -> str:
    """Pad a text with spaces on its left to ``size`` cells."""
    return " " * (size - width(text)) + text


def wrap(text: str, size: int) -> list[str]:
    """Break a text into lines of at most ``size`` cells, at spaces if possible."""
    lines = [""]
    for word in text.split(" "):
        glue = " " if lines[-1] else ""
        if width(lines[-1]) + len(glue) + width(word) <= size:
            lines[-1] += glue + word
            continue
        if lines[-1]:
            lines.append("")
        rest = word
        while width(rest) > size:
            head = fit(rest, size, more="")
            lines[-1] = head
            lines.append("")
            rest = rest[len(head) :]
        lines[-1] = rest
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: each column as wide as its longest text, two spaces between them."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(left, row, widths)).rstrip() for row in rows]
