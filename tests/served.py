"""A server of pages for tests, and raw requests to it, which no client would normalise."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from handshake_lab.serve.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.serve.what_if import Replayed

_LIMIT = 60.0


@contextmanager
def serving(folder: Path, kernel: str = "", replayed: Replayed | None = None) -> Iterator[Served]:
    """Serve a folder in a thread, within the block."""
    server = Server(folder, kernel=kernel, replayed=replayed)
    thread = threading.Thread(target=server.run, name="serving")
    thread.start()
    try:
        yield Served(server.address)
    finally:
        server.stop()
        thread.join()


class Served:
    """A server that runs.

    Args:
        address: Of its first page.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.port is not None
        self.address = address
        self.host = parts.netloc
        self.port = parts.port
        self.root = parts.path.rstrip("/")
        self.origin = f"http://{parts.netloc}"

    def send(self, raw: bytes) -> tuple[int, bytes, bytes]:
        """Send bytes; returns the status, the head and the body of the answer. The connection is closed after it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_LIMIT) as connection:
            connection.sendall(raw)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1] if head else b"0"
        return int(status), head, body

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str | None) -> tuple[int, bytes, bytes]:
        """Send a request for a path as it is; ``root`` in it is replaced. A header that is None is left out."""
        wanted = {"Host": self.host, "Connection": "close", **headers}
        if body:
            wanted.setdefault("Content_Length", str(len(body)))
        lines = [f"{method} {path.replace('ROOT', self.root)} HTTP/1.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in wanted.items() if value is not None]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)
