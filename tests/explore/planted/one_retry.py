"""The limit of connect() is long enough for one lost SYN, but not for two.

Found if the SYN, or its answer, is lost twice in a row.
"""

import pytest

REPAIRED = False


@pytest.mark.handshake(delay="20ms")
def test_shop(net) -> None:
    listener = net.h2.listen(80)
    client = net.h1.socket()
    client.settimeout(60 if REPAIRED else 2)
    client.connect(listener.getsockname())
    client.settimeout(60)
    peer, _ = listener.accept()
    client.sendall(b"one")
    assert peer.recv(100) == b"one"
