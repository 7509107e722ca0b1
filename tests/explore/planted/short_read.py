"""What one recv() returns is taken for the whole message.

Found if the acknowledgment of its first segment is lost: Nagle's algorithm holds the second back until then.
"""

import threading
import time

import pytest

REPAIRED = False


def receive(connection):
    data = connection.recv(100)
    while REPAIRED and len(data) < 10:
        data += connection.recv(100)
    return data


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    received = []
    listener = net.h2.listen(80)

    def serve() -> None:
        connection, _ = listener.accept()
        time.sleep(0.1)
        received.append(receive(connection))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    client = net.h1.connect(listener)
    client.sendall(b"head:")
    time.sleep(0.02)
    client.sendall(b"body.")
    server.join(60)
    assert received == [b"head:body."]
