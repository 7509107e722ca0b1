"""The demonstration: one connection, from the first SYN to the end of TIME-WAIT."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import WaitTimedOut

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket

PORT = 80
#: Seconds between the client's shutdown and the server's close: time to see CLOSE-WAIT and FIN-WAIT-2.
SERVER_FINISHES = 0.5


def script(net: Net, _: Any) -> None:
    """The client sends a request, the server a response; the client shuts down first, the server closes later."""
    first, last = net.hosts[0], net.hosts[-1]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(last.listen(PORT))
        try:
            client = stack.enter_context(first.connect(listener))
        except OSError:
            # If the network loses all segments, there is no connection; the record shows that.
            _close(net)
            return
        server = stack.enter_context(listener.accept()[0])
        client.sendall(b"What is the time?")
        _read(server, 17)
        server.sendall(b"Handshake time.")
        _read(client, 15)
        net.recorder.checkpoint()
        client.shutdown(socket.SHUT_WR)
        _read(server, 1)  # the end of the client's data
        time.sleep(SERVER_FINISHES)
        net.recorder.checkpoint()
        server.close()
        _read(client, 1)
        client.close()
        net.recorder.checkpoint()
        _close(net)


def _close(net: Net) -> None:
    with contextlib.suppress(WaitTimedOut):  # the record shows connections that remain open
        net.wait_until_closed()


def _read(connection: RecordedSocket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(size - len(data))):
        data += chunk
    return data
