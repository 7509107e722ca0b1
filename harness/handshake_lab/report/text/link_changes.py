"""Changes of links, in the language of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.recording.observations import LinkChange
    from handshake_lab.report.text.translations import Words


def spell(change: LinkChange, words: Words) -> str:
    """A change of a link in one line. Names in it are as in the topology: escape them for the medium."""
    return words(f"link.{change.action}", link=change.link, change=change.change)
