"""Two futures of a run side by side, and how they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.report.html.comparison import difference_views
from handshake_lab.report.html.connection_rows import connection_view
from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.differences import compare
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg.ladder_svg import switchable
from handshake_lab.report.text.translations import words
from handshake_lab.serve.stored_pages import own_page

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record
    from handshake_lab.report.text.translations import Words
    from handshake_lab.serve.stored_pages import Frame

#: How many connections are drawn.
_DRAWN = 8


def what_if_view(record: Record, other: Record, frame: Frame, command: str) -> str:
    """A recorded run beside the same with another fate of a segment.

    Args:
        record: The recorded run.
        other: The other one.
        frame: What all pages have in common.
        command: The command that gives the other one.
    """
    w = words(frame.lang)
    return own_page("what_if.html.j2", frame, futures=futures(other, record, w, own=False), command=command)


def futures(record: Record, other: Record | None, w: Words, *, own: bool = True) -> dict[str, Any]:
    """The connections of one future, with their drawings; and those of another, and how they differ."""
    found = connections(record)
    views: list[dict[str, Any]] = []
    if own:
        views = [
            connection_view(record, each, None, w, {}, {}, drawn=place < _DRAWN) for place, each in enumerate(found)
        ]
    return {
        "own": own,
        "connections": views,
        "drawings": [] if own else drawings(record, w),
        "others": [] if other is None else drawings(other, w),
        "differences": [] if other is None else difference_views(compare(other, record, w), w),
    }


def drawings(record: Record, w: Words) -> list[Markup]:
    """The ladders of the first connections of a run."""
    return [
        Markup(switchable(ladder(each, middle(record, each)), w, linked=False))  # noqa: S704 -- escaped by elements.py
        for each in connections(record)[:_DRAWN]
    ]
