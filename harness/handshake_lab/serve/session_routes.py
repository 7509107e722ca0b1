"""The addresses of sessions: to start one, to see it, to execute its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from handshake_lab.errors import HandshakeError
from handshake_lab.report.text.escaping import visible
from handshake_lab.serve.answers import frame_of, nothing, problem
from handshake_lab.serve.session_pages import session_page, session_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from handshake_lab.serve.changes import Changes
    from handshake_lab.serve.lab import Lab, LiveSession
    from handshake_lab.serve.stored_pages import Frame

#: Characters and lines of a command's output that are sent to a page, and characters of an error.
_LINE, _MOST_LINES, _LONGEST = 400, 500, 4000
#: The answer to the page of a session that has ended, perhaps in another page.
_ENDED = {"ended": True}
_Text = Annotated[str, msgspec.Meta(max_length=4000)]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A command of the shell; or, with a number, another fate of that segment."""

    command: _Text = ""
    number: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    fate: _Text = ""


class AskedSession(msgspec.Struct, forbid_unknown_fields=True):
    """A new session."""

    topology: _Text = "pair"
    links: _Text = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 1


class SessionRoutes:
    """Answers requests for sessions.

    Args:
        lab: The sessions.
        changes: Reports changes to open pages.
    """

    def __init__(self, lab: Lab, changes: Changes) -> None:
        self._lab = lab
        self._changes = changes

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/{lang}/sessions", self._start, methods=["POST"]),
            Route("/{lang}/sessions/{name}", self._page),
            Route("/{lang}/sessions/{name}", self._execute, methods=["POST"]),
            Route("/{lang}/sessions/{name}/view", self._view),
        ]

    async def _start(self, request: Request) -> Response:
        frame = frame_of(request)
        if frame is None:
            return nothing()
        try:
            asked = msgspec.json.decode(await request.body(), type=AskedSession)
            made = await self._lab.do(lambda: self._lab.start(asked.topology, asked.links, asked.seed))
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"address": f"{frame.root}/{frame.lang}/sessions/{made.name}"})

    async def _page(self, request: Request) -> Response:
        frame, name = frame_of(request), request.path_params["name"]
        if frame is None:
            return nothing()

        def page() -> str | None:
            live = self._lab.sessions.get(name)
            if live is None:
                return None
            return session_page(live, frame.watching(f"sessions/{name}", self._lab.states()))

        try:
            found = await self._lab.do(page)
        except HandshakeError as error:
            return problem(frame, name, str(error))
        return nothing() if found is None else HTMLResponse(found)

    async def _view(self, request: Request) -> Response:
        frame, name = frame_of(request), request.path_params["name"]
        if frame is None:
            return nothing()

        def view() -> Mapping[str, object]:
            live = self._lab.sessions.get(name)
            return _shown(live, frame) if live else _ENDED

        try:
            return JSONResponse(await self._lab.do(view))
        except HandshakeError as error:
            return JSONResponse({"error": visible(str(error), _LONGEST)}, 409)

    async def _execute(self, request: Request) -> Response:
        frame, name = frame_of(request), request.path_params["name"]
        if frame is None:
            return nothing()
        try:
            asked = msgspec.json.decode(await request.body(), type=Asked)
            answer = await self._lab.do(lambda: self._executed(name, asked, frame))
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": visible(str(error), _LONGEST)}, 409)
        if "lines" in answer:
            self._changes.report([f"sessions/{name}"])
        return JSONResponse(answer, 409 if "error" in answer else 200)

    def _executed(self, name: str, asked: Asked, frame: Frame) -> Mapping[str, object]:
        """Execute a command, and end the session if that was the command: in the thread of the lab, at once.

        Raises:
            HandshakeError: The session cannot be shown.
        """
        live = self._lab.sessions.get(name)
        if live is None:
            return _ENDED
        try:
            lines = live.what_if(asked.number, asked.fate) if asked.number else live.execute(asked.command)
        except HandshakeError as error:
            return {"error": visible(str(error), _LONGEST), **_shown(live, frame)}
        if live.session.ended:
            self._lab.end(name)
            return _ENDED
        return {"lines": [visible(line, _LINE) for line in lines[:_MOST_LINES]], **_shown(live, frame)}


def _shown(live: LiveSession, frame: Frame) -> dict[str, object]:
    return {"view": session_view(live, frame), "state": str(live.changes)}
