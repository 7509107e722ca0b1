"""The server itself: on a loopback address, in the foreground."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

import uvicorn

from handshake_lab.errors import UsageError
from handshake_lab.kernel.shared.processes import tidy_on_signals
from handshake_lab.serve.app import Pages
from handshake_lab.serve.folder import Folder
from handshake_lab.serve.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.serve.what_if import Replayed

#: Connections at the same time, and the longest head of a request in bytes.
_MOST_CONNECTIONS, _LONGEST_HEAD = 100, 16 * 1024


class Server:
    """Serves a folder on 127.0.0.1.

    Args:
        path: The folder.
        port: The port; 0 for any that is free.
        lang: The language of the first page.
        kernel: The lab kernel for sessions and other runs, as for ``--kernel``; "" for recorded pages only.
        replayed: Makes the plan of a recorded command again.

    Attributes:
        address: The address of the first page, with the token.

    Raises:
        UsageError: The folder is not one, or the port is in use.
    """

    def __init__(
        self, path: Path, port: int = 0, lang: str = "en", kernel: str = "", replayed: Replayed | None = None
    ) -> None:
        if not path.is_dir():
            raise UsageError("DIR", str(path), "is not a directory", "handshake serve handshake-artifacts")
        self._socket = _listening(port)
        port = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.address = f"http://127.0.0.1:{port}/{token}/"
        folder = Folder(path)
        self._lab = Lab(folder, kernel) if kernel else None
        config = uvicorn.Config(
            Pages(folder, lang, self._lab, replayed).app(token, port),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until `stop` is called, or the process receives SIGINT, SIGTERM or SIGHUP."""
        # uvicorn raises a signal again after it has stopped, for the handler that was there before.
        with tidy_on_signals():
            try:
                if self._lab is not None:
                    self._lab.prepare()
                self._server.run(sockets=[self._socket])
            finally:
                if self._lab is not None:
                    self._lab.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.should_exit = True


def _listening(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(("127.0.0.1", port))
    except OSError as error:
        opened.close()
        raise UsageError("--port", port, f"cannot be used ({error.strerror})", "--port 8000") from None
    opened.listen(128)
    return opened
