"""The addresses of the server, and what is answered there."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from handshake_lab.errors import HandshakeError
from handshake_lab.report.html.rendering import css, script
from handshake_lab.serve import changes
from handshake_lab.serve.answers import frame_of, nothing, problem
from handshake_lab.serve.changes import Changes
from handshake_lab.serve.futures import what_if_view
from handshake_lab.serve.guard import Guard
from handshake_lab.serve.session_routes import Asked, SessionRoutes
from handshake_lab.serve.stored_pages import StoredPages, name_of
from handshake_lab.serve.unit_routes import UnitRoutes
from handshake_lab.serve.what_if import another_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from handshake_lab.serve.folder import Folder, FoundFile
    from handshake_lab.serve.lab import Lab
    from handshake_lab.serve.what_if import Replayed


class Pages:
    """Answers requests for the pages of a folder.

    Args:
        folder: The folder.
        lang: The language of the first page.
        lab: Where sessions and other runs are carried out; None: pages of recorded runs only.
        replayed: Makes the plan of a recorded command again.
    """

    def __init__(self, folder: Folder, lang: str, lab: Lab | None, replayed: Replayed | None) -> None:
        self._folder = folder
        self._lang = lang
        self._lab = lab
        self._replayed = replayed
        self._stored = StoredPages(folder)
        self._changes = Changes(self._states)

    def _states(self) -> dict[str, object]:
        return self._with_sessions(self._folder.find())

    def _with_sessions(self, found: Mapping[str, FoundFile]) -> dict[str, object]:
        return {**found, **(self._lab.states() if self._lab else {})}

    def app(self, token: str, port: int) -> ASGIApp:
        """The application, behind its guard."""
        routes = [
            Route("/", self._home),
            Route("/events", self._events),
            Route("/files/{name}", _file),
            Route("/{lang}/", self._index),
            Route("/{lang}/runs/{name:path}", self._run),
            Route("/{lang}/runs/{name:path}", self._what_if, methods=["POST"]),
        ]
        if self._lab is not None:
            sessions = SessionRoutes(self._lab, self._changes)
            routes += [*sessions.routes(), *UnitRoutes(self._lab, self._lab.units).routes()]
        return Guard(Starlette(routes=routes), token, port)

    async def _home(self, request: Request) -> Response:
        return RedirectResponse(f"{request.scope['root_path']}/{self._lang}/")

    async def _events(self, request: Request) -> Response:
        if self._changes.full:
            return PlainTextResponse(f"more than {changes.MOST_PAGES} pages are open\n", 503)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        asked = request.query_params
        events = self._changes.stream(asked.get("name", ""), asked.get("state", ""))
        return StreamingResponse(events, media_type="text/event-stream")

    async def _index(self, request: Request) -> Response:
        frame = frame_of(request)
        if frame is None:
            return nothing()
        found = await asyncio.to_thread(self._folder.find)
        frame = frame.watching("", self._with_sessions(found))
        sessions = None if self._lab is None else [(each.name, each.setting) for each in self._lab.sessions.values()]
        units = None if self._lab is None else self._lab.units
        page = await asyncio.to_thread(self._stored.index_page, found, frame, sessions, units)
        return HTMLResponse(page)

    async def _run(self, request: Request) -> Response:
        frame, name = frame_of(request), name_of(request.path_params["name"])
        found = await asyncio.to_thread(self._folder.find)
        if frame is None or name not in found:
            return nothing()
        frame = frame.watching(name, found)
        try:
            again = self._lab is not None and self._replayed is not None
            return HTMLResponse(await asyncio.to_thread(self._stored.run_page, name, frame, again=again))
        except HandshakeError as error:
            return problem(frame, name, str(error))

    async def _what_if(self, request: Request) -> Response:
        frame, name = frame_of(request), name_of(request.path_params["name"])
        lab, replayed = self._lab, self._replayed
        if frame is None or lab is None or replayed is None or name not in await asyncio.to_thread(self._folder.find):
            return nothing()

        def view(number: int, fate: str) -> str:
            record = self._stored.record(name)
            other, command = another_run(record, number, fate, replayed)
            return what_if_view(record, other, frame, command)

        try:
            asked = msgspec.json.decode(await request.body(), type=Asked)
            return JSONResponse({"view": await lab.do(lambda: view(asked.number, asked.fate))})
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": str(error)}, 409)


async def _file(request: Request) -> Response:
    found = _files().get(request.path_params["name"])
    if found is None:
        return nothing()
    content, kind = found
    # They do not change while the server runs, and their address has its token.
    return Response(content, media_type=kind, headers={"cache-control": "private, max-age=3600"})


@cache
def _files() -> dict[str, tuple[str, str]]:
    """The style sheets and scripts, by name, with their types."""
    own = files("handshake_lab.serve") / "static"
    styles: dict[str, str] = {"page.css": css(plots=False), "plots.css": css(plots=True)}
    scripts: dict[str, str] = {"page.js": script(plots=False), "plots.js": script(plots=True)}
    styles["served.css"] = (own / "served.css").read_text("utf-8")
    scripts["served.js"] = (own / "served.js").read_text("utf-8")
    return {name: (str(text), "text/css") for name, text in styles.items()} | {
        name: (str(text), "text/javascript") for name, text in scripts.items()
    }
