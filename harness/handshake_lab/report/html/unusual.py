"""What was out of the ordinary in a run: a few segments, each with a link to its details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handshake_lab.report.html.connection_rows import fate_of
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.flags import kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words

#: How many a page lists.
MOST = 5
#: The maximum length of a reason.
_LONGEST = 160


def unusual(found: Sequence[Connection], w: Words) -> list[dict[str, Any]]:
    """Up to `MOST` kinds of unusual segments, each by its first one, in order of time.

    Resets and ICMP errors come before lost segments that open or close a connection, these before segments without
    effect, and these before lost and retransmitted data.
    """
    groups: dict[tuple[int, str, str, str], list[TransmittedSegment]] = {}
    for connection in found:
        for segment in connection.segments:
            for rank, text in _remarks(connection, segment, w):
                # Data is of one kind, with PSH and without.
                name = "" if segment.length and kind(segment.flags) == "data" else segment.name
                groups.setdefault((rank, segment.sender, name, text), []).append(segment)
    chosen = sorted(groups.items(), key=lambda group: (group[0][0], group[1][0].number))[:MOST]
    return [
        {
            "number": segments[0].number,
            "text": visible(f"{segments[0].name} {sender} → {segments[0].receiver}{text}", _LONGEST),
            "more": len(segments) - 1,
        }
        for (_, sender, _, text), segments in sorted(chosen, key=lambda group: group[1][0].number)
    ]


def _remarks(connection: Connection, segment: TransmittedSegment, w: Words) -> Iterator[tuple[int, str]]:
    """What is unusual about a segment, with its rank; the texts of one kind are equal."""
    ordinary = kind(segment.flags) == "data"
    if segment.icmp or "R" in segment.flags:
        fate = fate_of(connection, segment, w)
        yield 0, f": {fate}" if fate else ""
    elif segment.number in connection.ignored:
        yield 2, f": {w.message(connection.ignored[segment.number])}"
    elif segment.lost or segment.damaged:
        why = connection.lost_because.get(segment.number)
        yield (3 if ordinary else 1), f": {w('page.lost') if why is None else w.message(why)}"
    elif segment.sent is None:
        yield 1, f": {w('page.made')}"
    elif segment.retransmits is not None:
        yield (4 if ordinary else 3), f": {w('diff.again')}"
    elif segment.window == 0 and "A" in segment.flags:
        yield 2, f": {w('page.no_window')}"
