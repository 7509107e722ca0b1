"""The load of benchmarks/fidelity.py: a server and a client that open and close connections in four ways.

From the client's log follows which states each end must have gone through.
"""

# ruff: noqa: INP001 -- a script
from __future__ import annotations

import contextlib
import heapq
import json
import selectors
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 80
#: Longer than a delayed acknowledgment: a FIN that comes with it would skip FIN-WAIT-2.
THINKING = 0.1

FIRST = ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
SECOND = ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
#: What (client, server) go through: the client closes first, the server does, the client aborts, or the client closes
#: first and the server at once, so that no poll may find the client's socket before its TIME-WAIT.
TRUTH = {
    way: (["SYN-SENT", "ESTABLISHED", *client], ["SYN-RECEIVED", "ESTABLISHED", *server])
    for way, client, server in (
        ("c", FIRST, SECOND),
        ("s", SECOND, FIRST),
        ("a", ["CLOSED"], ["CLOSED"]),
        ("q", ["FIN-WAIT-1", "TIME-WAIT"], SECOND),
    )
}
#: What a client of the last way may go through besides: not if its FIN is acknowledged with the server's.
PERHAPS = "FIN-WAIT-2"


class Loop:
    """Sockets to read from, and things to do later."""

    def __init__(self) -> None:
        self.ready = selectors.DefaultSelector()
        self.later: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self.later, (time.monotonic() + seconds, len(self.later) + time.monotonic_ns(), do))

    def turn(self, until: float) -> None:
        """Whatever is due until then."""
        if self.later:
            until = min(until, self.later[0][0])
        for key, _ in self.ready.select(max(until - time.monotonic(), 0)):
            key.data(key.fileobj)
        while self.later and self.later[0][0] <= time.monotonic():
            heapq.heappop(self.later)[2]()

    def close(self, sock: socket.socket) -> None:
        """Close a socket that was read from."""
        self.ready.unregister(sock)
        sock.close()


def serve() -> None:
    """Answer each connection's first byte, which says who closes first."""
    loop = Loop()
    quick: set[socket.socket] = set()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                loop.ready.register(sock, selectors.EVENT_READ, talk)

    def talk(sock: socket.socket) -> None:
        try:
            said = sock.recv(1)
        except ConnectionResetError:
            loop.close(sock)
            return
        if said:
            sock.send(b"k")
            if said == b"s":
                sock.shutdown(socket.SHUT_WR)
            elif said == b"q":
                quick.add(sock)
            return
        if sock in quick:
            quick.remove(sock)
            loop.close(sock)
            return
        loop.ready.unregister(sock)
        loop.after(THINKING, sock.close)

    with socket.create_server(("", PORT), backlog=4096) as listener:
        listener.setblocking(False)
        loop.ready.register(listener, selectors.EVENT_READ, accept)
        while True:
            loop.turn(time.monotonic() + 60)


def connect(rate: int, number: int, log: Path) -> None:
    """Open connections at a rate, and write down which way each was closed."""
    loop, ways, left = Loop(), {}, number
    begins = time.monotonic()

    def talk(sock: socket.socket) -> None:
        nonlocal left
        way, said = ways[sock.getsockname()[1]], sock.recv(1)
        if said and way == "c":
            sock.shutdown(socket.SHUT_WR)
        elif not said and way == "s":
            loop.ready.unregister(sock)
            loop.after(THINKING, sock.close)
            left -= 1
        elif way in "aq" or not said:
            if way == "a":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            loop.close(sock)
            left -= 1

    for each in range(number):
        while time.monotonic() < begins + each / rate:
            loop.turn(begins + each / rate)
        # Each from a port of its own, by which its way is known; no other's, where worlds share a kernel.
        sock = socket.create_connection(("h2", PORT), source_address=("", 20_000 + each))
        way = "csaq"[each % 4]
        ways[sock.getsockname()[1]] = way
        sock.send(way.encode())
        loop.ready.register(sock, selectors.EVENT_READ, talk)
        loop.turn(0)
    reached = number / (time.monotonic() - begins)
    while left or loop.later:
        loop.turn(time.monotonic() + 1)
    log.write_text(json.dumps({"ways": ways, "reached": reached}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        connect(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
