"""What send() returns is ignored: bytes that do not fit into the send buffer are forgotten.

Found if a segment is lost: then the buffer is full when the program goes on.
"""

import select
import socket
import threading
import time

import pytest

REPAIRED = False
CHUNK = b"x" * 4000


def send(connection, data) -> None:
    while data:
        try:
            count = connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            count = 0
        if not REPAIRED:
            return
        data = data[count:]
        select.select([], [connection], [])


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    received = []
    listener = net.h2.listen(80)

    def serve() -> None:
        connection, _ = listener.accept()
        while data := connection.recv(10_000):
            received.append(data)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    client = net.h1.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.connect(listener.getsockname())
    for _ in range(3):
        send(client, CHUNK)
        time.sleep(0.05)
    client.close()
    server.join(60)
    assert sum(map(len, received)) == 3 * len(CHUNK)
