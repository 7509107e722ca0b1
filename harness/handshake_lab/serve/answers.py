"""Answers that several addresses have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from handshake_lab.report.text.translations import LANGUAGES
from handshake_lab.serve.stored_pages import Frame, own_page

if TYPE_CHECKING:
    from starlette.requests import Request


def frame_of(request: Request) -> Frame | None:
    """What the pages have in common; None if there is no such language."""
    lang = request.path_params["lang"]
    root = request.scope["root_path"]
    here = request.url.path.removeprefix(f"{root}/{lang}/")
    return Frame(root, lang, here) if lang in LANGUAGES else None


def nothing() -> Response:
    """There is no such page."""
    return PlainTextResponse("there is nothing at this address\n", 404)


def problem(frame: Frame, title: str, message: str) -> Response:
    """A page that cannot be made."""
    return HTMLResponse(own_page("problem.html.j2", frame, title=title, message=message), 500)
