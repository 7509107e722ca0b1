"""A connection of a pool is used again although it was reset while it was idle.

Found if a RST follows a segment to the client.
"""

import threading
import time

import pytest

REPAIRED = False


def answer(connection) -> None:
    try:
        while request := connection.recv(100):
            connection.sendall(b"re: " + request)
    except ConnectionError:
        pass
    connection.close()


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


class Pool:
    def __init__(self, connect) -> None:
        self.connect, self.connection = connect, None

    def ask(self, request):
        self.connection = self.connection or self.connect()
        self.connection.settimeout(5)
        self.connection.sendall(request)
        reply = self.connection.recv(100)
        if not reply:
            raise ConnectionError("closed")
        return reply

    def ask_safely(self, request):
        for _ in range(3):
            try:
                return self.ask(request)
            except (ConnectionError, TimeoutError):
                self.connection = None
        return b""


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    pool = Pool(lambda: net.h1.connect(listener))
    assert pool.ask_safely(b"one") == b"re: one"
    time.sleep(1)
    assert (pool.ask_safely if REPAIRED else pool.ask)(b"two") == b"re: two"
