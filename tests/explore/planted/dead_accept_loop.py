"""The loop that accepts connections ends with a reset: later clients leave sockets in CLOSE-WAIT.

Found if a RST follows a segment to the server.
"""

import contextlib
import threading

import pytest

REPAIRED = False


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        connection.settimeout(5)
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            if not REPAIRED:
                return
        except TimeoutError:
            pass
        finally:
            connection.close()


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    for request in (b"one", b"two"):
        with contextlib.suppress(ConnectionError), net.h1.connect(listener) as client:
            client.sendall(request)
        net.sleep(0.5)
    net.h2.wait_for("CLOSE-WAIT", count=0, limit=30)
