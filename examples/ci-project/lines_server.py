"""A small server: it sends every line back until its client closes.

    python lines_server.py ADDRESS PORT [--leaky]

With --leaky it does not close connections whose clients have closed: the bug that the tests find.
"""

from __future__ import annotations

import selectors
import socket
import sys


class LinesServer:
    """Serves any number of clients from one thread.

    Args:
        listener: A socket that listens.
        leaky: Whether to keep connections open when their clients have closed.
    """

    def __init__(self, listener: socket.socket, *, leaky: bool = False) -> None:
        self._leaky = leaky
        self._forgotten: list[socket.socket] = []
        self._ready = selectors.DefaultSelector()
        self._ready.register(listener, selectors.EVENT_READ, self._accept)

    def run(self) -> None:
        """Serve until the process is terminated."""
        while True:
            for key, _ in self._ready.select():
                key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._ready.register(connection, selectors.EVENT_READ, self._echo)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            connection.sendall(data)
            return
        self._ready.unregister(connection)
        if self._leaky:
            self._forgotten.append(connection)
        else:
            connection.close()


def main() -> None:
    """Listen at the given address and port, and serve."""
    address, port, *options = sys.argv[1:]
    with socket.create_server((address, int(port))) as listener:
        LinesServer(listener, leaky="--leaky" in options).run()


if __name__ == "__main__":
    main()
