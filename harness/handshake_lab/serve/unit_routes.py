"""The addresses of course units: to start one, to see it, to predict, run and check."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from handshake_lab.errors import HandshakeError, RecordUnreadable
from handshake_lab.report.text.escaping import visible
from handshake_lab.serve.answers import frame_of, nothing, problem
from handshake_lab.serve.units import AskedOfUnit, AskedUnit

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from handshake_lab.serve.lab import Lab
    from handshake_lab.serve.units import Units

T = TypeVar("T")

_LONGEST = 4000


class UnitRoutes:
    """Answers requests for course units.

    Args:
        lab: Where experiments run.
        units: The units.
    """

    def __init__(self, lab: Lab, units: Units) -> None:
        self._lab = lab
        self._units = units

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/{lang}/units", self._start, methods=["POST"]),
            Route("/{lang}/units/{name:path}", self._page),
            Route("/{lang}/units/{name:path}", self._act, methods=["POST"]),
        ]

    async def _do(self, name: str, work: Callable[[], T]) -> T:
        """Do something with a unit in the thread of the lab.

        Raises:
            RecordUnreadable: A file of the unit cannot be read or written.
            HandshakeError: As `work`.
        """
        try:
            return await self._lab.do(work)
        except (OSError, UnicodeError) as error:
            raise RecordUnreadable(f"{name}: {error}") from None

    async def _start(self, request: Request) -> Response:
        frame = frame_of(request)
        if frame is None:
            return nothing()
        try:
            asked = msgspec.json.decode(await request.body(), type=AskedUnit)
            name = await self._do(asked.unit, lambda: self._units.start(asked, frame.lang))
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": visible(str(error), _LONGEST)}, 409)
        return JSONResponse({"address": f"{frame.root}/{frame.lang}/units/{name}"})

    async def _page(self, request: Request) -> Response:
        frame, name = frame_of(request), request.path_params["name"]
        if frame is None or name not in await self._lab.do(self._units.started):
            return nothing()
        try:
            return HTMLResponse(await self._do(name, lambda: self._units.page(name, frame)))
        except HandshakeError as error:
            return problem(frame, name, str(error))

    async def _act(self, request: Request) -> Response:
        frame, name = frame_of(request), request.path_params["name"]
        if frame is None:
            return nothing()

        def work(asked: AskedOfUnit) -> tuple[str, str]:
            return self._units.act(name, asked), self._units.view(name, frame)

        try:
            asked = msgspec.json.decode(await request.body(), type=AskedOfUnit)
            said, view = await self._do(name, lambda: work(asked))
        except (HandshakeError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": visible(str(error), _LONGEST)}, 409)
        return JSONResponse({"said": visible(said, _LONGEST), "view": view})
