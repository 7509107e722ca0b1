"""A client that tries to connect once more does not close its first socket, which is connected later.

Found if the SYN is lost.
"""

import threading

import pytest

REPAIRED = False


def answer(connection) -> None:
    while connection.recv(100):
        pass
    connection.close()


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    attempts = []
    for _ in range(3):
        attempts.append(net.h1.socket())
        attempts[-1].settimeout(0.5)
        try:
            attempts[-1].connect(listener.getsockname())
            break
        except TimeoutError:
            if REPAIRED:
                attempts[-1].close()
    attempts[-1].close()
    net.wait_until_closed(limit=200)
