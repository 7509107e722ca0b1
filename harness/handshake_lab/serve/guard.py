"""Refuses every request that does not come from the user of this machine: the outermost layer of the server.

The server listens on a loopback address, but other users, and pages that the user visits, can reach that too:

- Another user, or a page that guesses: the first part of every path is a secret token.
- A page whose name is made to resolve to 127.0.0.1 (DNS rebinding): ``Host`` must be a loopback address with this port.
- A page of another origin: ``Origin`` and ``Sec-Fetch-Site`` must name this one, and a request that changes something
  must have a JSON body, which a page of another origin cannot send without asking first.
- A page that embeds or reads these: the policies of the response headers.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The longest body of a request, in bytes.
LONGEST_BODY = 64 * 1024
#: What a page may do: use this server's style sheet, scripts and answers, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
#: The headers that may be there once only: of two, another program might believe the other one.
_ONCE = (b"host", b"origin", b"content-length", b"content-type")
_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets only the user's own requests through, without the token in their paths.

    Args:
        app: The application behind it.
        token: The first part of every path.
        port: The port on which the server listens.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        names = [f"{name}:{port}" for name in _NAMES] + (list(_NAMES) if port == 80 else [])
        self._hosts = {name.encode() for name in names}
        self._origins = {f"http://{name}".encode() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the status of `_refused`."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no WebSockets: uvicorn refuses what is not accepted

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in given)]
            await send(message)

        if status := self._refused(scope):
            await _refuse(status, answer)
            return
        if scope["method"] == "POST":
            body = await _body(receive)
            if body is None:
                await _refuse(413, answer)
                return
            receive = _with(body, receive)
        await self._app({**scope, "root_path": f"/{self._token.decode()}"}, receive, answer)

    def _refused(self, scope: Scope) -> int:
        """The status with which a request is refused; 0 if it is not."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in headers and name in _ONCE:
                return 400
            headers[name] = value
        if headers.get(b"host", b"").lower() not in self._hosts:
            return 421
        origin = headers.get(b"origin")
        elsewhere = origin is not None and origin not in self._origins
        if elsewhere or headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403
        token = f"{scope['path']}/".encode().split(b"/")[1]
        if not secrets.compare_digest(token, self._token):
            return 403
        if scope["method"] in ("GET", "HEAD"):
            return 0
        return _changing_refused(headers) if scope["method"] == "POST" else 405


def _changing_refused(headers: Mapping[bytes, bytes]) -> int:
    """The status with which a request that changes something is refused; 0 if it is not."""
    if b"origin" not in headers:
        return 403
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        return 415
    length = headers.get(b"content-length", b"")
    return 413 if length.isdigit() and int(length) > LONGEST_BODY else 0


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is longer than `LONGEST_BODY`, or did not arrive."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > LONGEST_BODY:
            return None
        more = message.get("more_body", False)
    return body


def _with(body: bytes, receive: Receive) -> Receive:
    """Receive a body that was read already, and then what follows it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _refuse(status: int, send: Send) -> None:
    body = b"refused\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
