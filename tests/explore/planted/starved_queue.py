"""A server reads from one connection until it is done: a slow client keeps all others waiting.

Found if the request of the client with the long path is lost.
"""

import threading

import pytest

REPAIRED = False


def answer(connection) -> None:
    if request := connection.recv(100):
        connection.sendall(b"re: " + request)
    connection.close()


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        if REPAIRED:
            threading.Thread(target=answer, args=(connection,), daemon=True).start()
        else:
            answer(connection)


@pytest.mark.handshake(topology="star", links=["s1>h1:delay=800ms", "s1>h2:delay=20ms"])
def test_shop(net) -> None:
    listener = net.h3.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    far = net.h1.connect(listener)
    far.sendall(b"far")
    net.sleep(0.05)
    near = net.h2.socket()
    near.settimeout(1.2)
    near.connect(listener.getsockname())
    near.sendall(b"near")
    assert near.recv(100) == b"re: near"
    assert far.recv(100) == b"re: far"
