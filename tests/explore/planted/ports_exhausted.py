"""A client closes first if the server's FIN is late: TIME-WAIT keeps its only port.

Found if that FIN is lost.
"""

import contextlib
import threading

import pytest

REPAIRED = False


def serve(listener) -> None:
    while True:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.sendall(b"ok")
        connection.close()


@pytest.mark.handshake(delay="20ms", sysctls={"net.ipv4.ip_local_port_range": "40000 40000"})
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    for request in (b"one", b"two"):
        client = net.h1.connect(listener)
        client.settimeout(30)
        client.sendall(request)
        assert client.recv(100) == b"ok"
        client.settimeout(30 if REPAIRED else 0.1)
        with contextlib.suppress(TimeoutError):
            client.recv(100)
        client.close()
        net.sleep(3)
