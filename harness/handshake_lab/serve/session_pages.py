"""The page of a session of the shell, and two futures side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.report.html.comparison import difference_views
from handshake_lab.report.html.connection_rows import COLUMNS, connection_view
from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.differences import compare
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg.ladder_svg import switchable
from handshake_lab.report.text.times import clock
from handshake_lab.report.text.translations import words
from handshake_lab.serve.stored_pages import own_page
from handshake_lab.shell.views import socket_rows
from handshake_lab.tcp.flags import names

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record
    from handshake_lab.report.text.translations import Words
    from handshake_lab.serve.lab import LiveSession
    from handshake_lab.serve.stored_pages import Frame

#: How many connections of a session are drawn.
_DRAWN = 8


def session_page(live: LiveSession, frame: Frame) -> str:
    """The page of a session."""
    planned = live.setting.planned
    return own_page(
        "session.html.j2",
        frame,
        title=words(frame.lang)("serve.session", topology=live.setting.topology),
        links=" ".join(live.setting.links),
        seed=live.setting.seed,
        hosts=live.session.hosts,
        nodes=" ".join(planned.nodes),
        view=Markup(session_view(live, frame)),  # noqa: S704 -- our own template
    )


def session_view(live: LiveSession, frame: Frame) -> str:
    """The part of the page that changes with each command."""
    w = words(frame.lang)
    session, moments = live.session, live.moments
    record = moments.record(session.now)
    other = None if session.left is None else moments.record(session.left)
    waiting = session.now.answer.undecided.waiting
    return own_page(
        "session_view.html.j2",
        frame,
        clock=clock(session.now.answer.now),
        waiting=""
        if waiting is None
        else w(
            "serve.waits",
            number=session.now.number or "?",
            name=names(waiting.flags),
            sender=waiting.sender or str(waiting.src),
            receiver=waiting.receiver,
        ),
        running=session.now.answer.running,
        commands=[(clock(each.answer.now), each.command) for each in session.now.way()[1:]],
        sockets=socket_rows(moments.observations(session.now), record),
        futures=_futures(record, other, w),
        columns=[key for key in COLUMNS if key != "path"],
    )


def what_if_view(record: Record, other: Record, frame: Frame, command: str) -> str:
    """A recorded run beside the same with another fate of a segment.

    Args:
        record: The recorded run.
        other: The other one.
        frame: What all pages have in common.
        command: The command that gives the other one.
    """
    w = words(frame.lang)
    return own_page("what_if.html.j2", frame, futures=_futures(other, record, w, own=False), command=command)


def _futures(record: Record, other: Record | None, w: Words, *, own: bool = True) -> dict[str, Any]:
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
        "drawings": [] if own else _drawings(record, w),
        "others": [] if other is None else _drawings(other, w),
        "differences": [] if other is None else difference_views(compare(other, record, w), w),
    }


def _drawings(record: Record, w: Words) -> list[Markup]:
    return [
        Markup(switchable(ladder(each, middle(record, each)), w, linked=False))  # noqa: S704 -- escaped by elements.py
        for each in connections(record)[:_DRAWN]
    ]
