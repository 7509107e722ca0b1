"""A script of many connections, opened and closed in all four ways, with known states."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket

OPENED = ["CLOSED", "SYN-SENT", "ESTABLISHED"]
ACCEPTED = ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
FIRST = ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
SECOND = ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
BOTH = ["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]

#: The states of (client, server) for each way of closing.
WAYS = {
    "client first": (OPENED + FIRST, ACCEPTED + SECOND),
    "server first": (OPENED + SECOND, ACCEPTED + FIRST),
    "simultaneous": (OPENED + BOTH, ACCEPTED + BOTH),
    "abort": ([*OPENED, "CLOSED"], [*ACCEPTED, "CLOSED"]),
}


def script(net: Net, argument: Any) -> None:
    """Open and close ``argument`` connections, one after the other, the ways in turn; wait for all TIME-WAITs."""
    names = list(WAYS)
    ports = {name: net.h2.listen(8000 + number) for number, name in enumerate(names)}
    for number in range(int(argument)):
        way = names[number % len(names)]
        client = net.h1.connect(ports[way])
        server, _ = ports[way].accept()
        _close(net, way, client, server)
    net.wait_until_closed()


def _close(net: Net, way: str, client: RecordedSocket, server: RecordedSocket) -> None:
    first, second = (server, client) if way == "server first" else (client, server)
    if way == "abort":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        try:
            server.recv(1)
        except ConnectionResetError:
            server.close()
        return
    if way == "simultaneous":
        first.close()
        second.close()
        return
    first.shutdown(socket.SHUT_WR)
    second.recv(1)
    # Longer than a delayed acknowledgment: a FIN with that ACK would skip FIN-WAIT-2.
    net.sleep(0.1)
    second.close()
    first.recv(1)
    first.close()
