"""The texts across a ladder: waits, folded data, changed links, and why segments had no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.layout.connections import LEFT, RIGHT
from handshake_lab.report.layout.lines import Bulk, Ladder, LinkRow, NoEffectRow, Row, WaitRow
from handshake_lab.report.text import cells, link_changes, no_effect
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import span

if TYPE_CHECKING:
    from handshake_lab.report.text.translations import Words


def captions(ladder: Ladder, words: Words, room: int) -> dict[int, list[str]]:
    """The lines of each caption, by the number of its line in the ladder.

    Args:
        ladder: The ladder.
        words: The language.
        room: The number of characters that fit between the lanes.
    """
    return {place: _lines(line, words, room) for place, line in enumerate(ladder.lines) if not isinstance(line, Row)}


def _lines(line: WaitRow | Bulk | LinkRow | NoEffectRow, words: Words, room: int) -> list[str]:
    if isinstance(line, WaitRow):
        lines = cells.wrap(_wait(line, words), room - 4)
        return [f"⋯ {lines[0]}", *lines[1:-1], f"{lines[-1]} ⋯"] if len(lines) > 1 else [f"⋯ {lines[0]} ⋯"]
    parts = _parts(line, words)
    together = " · ".join(parts)
    return [together] if cells.width(together) <= room else [each for part in parts for each in cells.wrap(part, room)]


def _parts(line: Bulk | LinkRow | NoEffectRow, words: Words) -> list[str]:
    if isinstance(line, Bulk):
        return [
            f"{arrow} {words('ladder.bulk', segments=f'{count:,}', octets=f'{line.octets[side]:,}')}"
            for side, arrow in ((LEFT, "→"), (RIGHT, "←"))
            if (count := line.segments[side])
        ]
    if isinstance(line, LinkRow):
        return [visible(link_changes.spell(line.change, words), 100)]
    return [visible(no_effect.spell(line.number, line.why, words, lost=line.lost), 120)]


def _wait(wait: WaitRow, words: Words) -> str:
    length = span(wait.length)
    if wait.open:
        return words("ladder.wait_open", length=length)
    if wait.until:
        timer = visible(words.message(wait.until.cause.message), 80)
        return words("ladder.wait_timer", length=length, timer=timer)
    if wait.again:
        return words("ladder.wait_again", length=length, number=wait.again.retransmits)
    return words("ladder.wait", length=length)
