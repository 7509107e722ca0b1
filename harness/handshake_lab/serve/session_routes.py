"""The addresses of sessions: to start one, to see it, to execute its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from handshake_lab.errors import HandshakeError
from handshake_lab.report.text.escaping import visible
from handshake_lab.serve.answers import frame_of, nothing
from handshake_lab.serve.session_pages import session_page, session_view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from handshake_lab.serve.changes import Changes
    from handshake_lab.serve.lab import Lab, LiveSession
    from handshake_lab.serve.stored_pages import Frame

#: Characters and lines of a command's output that are sent to a page.
_LINE, _MOST_LINES = 400, 500
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
        states: The states of everything that pages show.
        changes: Reports changes to open pages.
    """

    def __init__(self, lab: Lab, states: Callable[[], Mapping[str, object]], changes: Changes) -> None:
        self._lab = lab
        self._states = states
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

    def _found(self, request: Request) -> tuple[Frame, LiveSession] | None:
        frame, live = frame_of(request), self._lab.sessions.get(request.path_params["name"])
        return None if frame is None or live is None else (frame, live)

    async def _page(self, request: Request) -> Response:
        found = self._found(request)
        if found is None:
            return nothing()
        frame, live = found
        watching = frame.watching(f"sessions/{live.name}", self._states())
        return HTMLResponse(await self._lab.do(lambda: session_page(live, watching)))

    async def _view(self, request: Request) -> Response:
        found = self._found(request)
        return JSONResponse(await self._shown(*found) if found else _ENDED)

    async def _shown(self, frame: Frame, live: LiveSession) -> dict[str, str]:
        state = live.changes
        return {"view": await self._lab.do(lambda: session_view(live, frame)), "state": str(state)}

    async def _execute(self, request: Request) -> Response:
        found = self._found(request)
        if found is None:
            return JSONResponse(_ENDED)
        frame, live = found

        def work(asked: Asked) -> list[str]:
            return live.what_if(asked.number, asked.fate) if asked.number else live.execute(asked.command)

        try:
            asked = msgspec.json.decode(await request.body(), type=Asked)
            lines = await self._lab.do(lambda: work(asked))
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": visible(str(error), 4000), **await self._shown(frame, live)}, 409)
        if live.session.ended:
            await self._lab.do(lambda: self._lab.end(live.name))
            return JSONResponse(_ENDED)
        self._changes.report([f"sessions/{live.name}"])
        shown = [visible(line, _LINE) for line in lines[:_MOST_LINES]]
        return JSONResponse({"lines": shown, **await self._shown(frame, live)})
