"""The addresses of the server, and what is answered there."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from handshake_lab.errors import HandshakeError
from handshake_lab.report.html.rendering import css, script
from handshake_lab.report.text.translations import LANGUAGES
from handshake_lab.serve import changes
from handshake_lab.serve.changes import Changes
from handshake_lab.serve.guard import Guard
from handshake_lab.serve.stored_pages import Frame, StoredPages, name_of, own_page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from handshake_lab.serve.folder import Folder


class Pages:
    """Answers requests for the pages of a folder.

    Args:
        folder: The folder.
        lang: The language of the first page.
    """

    def __init__(self, folder: Folder, lang: str) -> None:
        self._folder = folder
        self._lang = lang
        self._stored = StoredPages(folder)
        self._changes = Changes(folder.find)

    def app(self, token: str, port: int) -> ASGIApp:
        """The application, behind its guard."""
        routes = [
            Route("/", self._home),
            Route("/events", self._events),
            Route("/files/{name}", _file),
            Route("/{lang}/", self._index),
            Route("/{lang}/runs/{name:path}", self._run),
        ]
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
        frame = _frame(request)
        if frame is None:
            return _nothing()
        found = await asyncio.to_thread(self._folder.find)
        frame = frame.watching("", found)
        return HTMLResponse(await asyncio.to_thread(self._stored.index_page, found, frame))

    async def _run(self, request: Request) -> Response:
        frame, name = _frame(request), name_of(request.path_params["name"])
        found = await asyncio.to_thread(self._folder.find)
        if frame is None or name not in found:
            return _nothing()
        frame = frame.watching(name, found)
        try:
            return HTMLResponse(await asyncio.to_thread(self._stored.run_page, name, frame))
        except HandshakeError as error:
            return _problem(frame, name, str(error))


def _frame(request: Request) -> Frame | None:
    """What the pages have in common; None if there is no such language."""
    lang = request.path_params["lang"]
    root = request.scope["root_path"]
    here = request.url.path.removeprefix(f"{root}/{lang}/")
    return Frame(root, lang, here) if lang in LANGUAGES else None


def _nothing() -> Response:
    return PlainTextResponse("there is nothing at this address\n", 404)


def _problem(frame: Frame, title: str, message: str) -> Response:
    return HTMLResponse(own_page("problem.html.j2", frame, title=title, message=message), 500)


async def _file(request: Request) -> Response:
    found = _files().get(request.path_params["name"])
    if found is None:
        return _nothing()
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
