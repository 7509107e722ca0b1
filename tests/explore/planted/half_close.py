"""A half-close is taken for the end: the client, which only has no more to send, gets no answer.

Found if the request is lost: then it arrives together with the FIN.
"""

import select
import socket
import threading
import time

import pytest

REPAIRED = False


def serve(listener) -> None:
    connection, _ = listener.accept()
    request, ended = b"", False
    while not ended and not request.endswith(b"\n"):
        select.select([connection], [], [])
        try:
            while not ended:
                data = connection.recv(100, socket.MSG_DONTWAIT)
                request, ended = request + data, not data
        except BlockingIOError:
            pass
    if REPAIRED or not ended:
        connection.sendall(b"200\n")
    connection.close()


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    client = net.h1.connect(listener)
    client.sendall(b"GET\n")
    time.sleep(0.1)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(100) == b"200\n"
