"""A client assumes that what it sends over a second connection is processed after what it sent over the first.

Found if the first request is lost.
"""

import threading

import pytest

REPAIRED = False
log = []


def answer(connection) -> None:
    request = connection.recv(100)
    log.append(request)
    connection.sendall(b"ok")
    connection.close()


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    first = net.h1.connect(listener)
    first.sendall(b"open account")
    if REPAIRED:
        assert first.recv(100) == b"ok"
    second = net.h1.connect(listener)
    second.sendall(b"pay in")
    net.sleep(10)
    assert log == [b"open account", b"pay in"]
