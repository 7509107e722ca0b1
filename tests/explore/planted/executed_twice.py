"""A request is executed twice, because its client repeats it on a new connection when the reply is late.

Found if the request, or the reply, is lost.
"""

import threading

import pytest

REPAIRED = False
executed = []


def answer(connection) -> None:
    try:
        request = connection.recv(100)
        if request and not (REPAIRED and request in executed):
            executed.append(request)
        connection.sendall(b"done")
    except ConnectionError:
        pass


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def ask(net, listener, request):
    while True:
        connection = net.h1.connect(listener)
        connection.settimeout(0.2)
        connection.sendall(request)
        try:
            return connection.recv(100)
        except TimeoutError:
            continue


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    assert ask(net, listener, b"order 17") == b"done"
    net.sleep(10)
    assert executed == [b"order 17"]
