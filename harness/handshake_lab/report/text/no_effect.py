"""Why a segment had no effect, or was lost, in the language of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.verdict.without_effect import is_answered_only

if TYPE_CHECKING:
    from handshake_lab.recording.messages import Message
    from handshake_lab.report.text.translations import Words


def spell(number: int, why: Message, words: Words, *, lost: bool = False) -> str:
    """The reason in one line, with the segment's number."""
    if lost:
        return words("ladder.lost_because", number=number, why=words.message(why))
    key = "ladder.answered_only" if is_answered_only(why) else "ladder.no_effect"
    return words(key, number=number, why=words.message(why))
