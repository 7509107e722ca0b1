"""A client waits for its reply far too long, although the server has lost the connection.

Found if a RST follows the request to the server.
"""

import threading
import time

import pytest

REPAIRED = False


def answer(connection) -> None:
    try:
        request = connection.recv(100)
        time.sleep(0.05)
        connection.sendall(b"re: " + request)
    except ConnectionError:
        pass
    connection.close()


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def ask(net, listener):
    for _ in range(3):
        try:
            connection = net.h1.connect(listener)
            connection.settimeout(5 if REPAIRED else 100)
            connection.sendall(b"one")
            if reply := connection.recv(100):
                return reply
        except (ConnectionError, TimeoutError):
            pass
    return b""


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    began = time.monotonic()
    assert ask(net, listener) == b"re: one"
    assert time.monotonic() - began < 60
