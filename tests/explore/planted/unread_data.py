"""A server closes a connection with unread data: the kernel sends a RST and forgets the reply.

Found if the reply is lost: it is not sent again.
"""

import socket
import threading
import time

import pytest

REPAIRED = False


def serve(listener) -> None:
    connection, _ = listener.accept()
    connection.recv(4)
    time.sleep(0.15)
    connection.sendall(b"200\n")
    if REPAIRED:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(100):
            pass
    connection.close()


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with net.h1.connect(listener) as client:
        client.sendall(b"GET\n")
        time.sleep(0.02)
        client.sendall(b"and a footer")
        assert client.recv(100) == b"200\n"
