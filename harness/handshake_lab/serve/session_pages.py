"""The page of a session of the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from handshake_lab.report.html.connection_rows import COLUMNS
from handshake_lab.report.text.times import clock
from handshake_lab.report.text.translations import words
from handshake_lab.serve.futures import futures
from handshake_lab.serve.stored_pages import own_page
from handshake_lab.shell.views import socket_rows
from handshake_lab.tcp.flags import names

if TYPE_CHECKING:
    from handshake_lab.serve.lab import LiveSession
    from handshake_lab.serve.stored_pages import Frame


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
        futures=futures(record, other, w),
        columns=[key for key in COLUMNS if key != "path"],
    )
