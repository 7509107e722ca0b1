"""HAProxy: a back end that vanishes."""

from pathlib import Path

import pytest
from handshake_lab import Net, seconds

CONFIGURATION = """
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 10s
frontend front
    bind :80
    default_backend back
backend back
    server one h2:8080
"""


@pytest.mark.needs("haproxy", "haproxy")
def test_a_back_end_that_vanishes(net: Net, tmp_path: Path) -> None:
    """The response never comes, and no segment says so: the proxy's own timeout answers the client."""
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION)
    net.h1.start(["haproxy", "-f", str(tmp_path / "haproxy.cfg")], listening=80)
    back = net.h2.listen(8080)
    client = net.h1.connect(("h1", 80))
    client.sendall(b"GET / HTTP/1.1\r\nHost: h1\r\n\r\n")
    accepted, _ = back.accept()
    assert accepted.recv(4096).startswith(b"GET / ")

    net.link("s1", "h2").cut()
    began = net.clock.now()
    assert client.recv(4096).startswith(b"HTTP/1.1 504")
    assert seconds(net.clock.now() - began) == pytest.approx(10, abs=0.5)
