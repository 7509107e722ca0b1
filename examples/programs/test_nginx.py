"""nginx: idle connections, and a reload."""

import signal
from pathlib import Path

import pytest
from handshake_lab import Net, RunningProgram, seconds

pytestmark = pytest.mark.needs("nginx", "nginx-light")

CONFIGURATION = """
daemon off; master_process on; user root; pid {0}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
    uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
    keepalive_timeout 20s;
    server {{ listen 80; root {0}; limit_rate 1k; }}
}}
"""


@pytest.fixture
def server(net: Net, tmp_path: Path) -> RunningProgram:
    """The server in h2, with a page of four kilobytes that it sends in four seconds."""
    (tmp_path / "index.html").write_text("x" * 4096)
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(tmp_path))
    return net.h2.start(["nginx", "-c", str(tmp_path / "nginx.conf")], listening=80)


@pytest.mark.usefixtures("server")
def test_an_idle_connection_is_closed_by_the_server(net: Net) -> None:
    """A client that comes back later than keepalive_timeout gets no response: the race of every connection pool."""
    client = net.h1.connect(("h2", 80))
    client.sendall(b"HEAD / HTTP/1.1\r\nHost: h2\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200")

    net.wait_for_state(client, "CLOSE-WAIT")
    assert seconds(net.history(client).time_in("ESTABLISHED")) == pytest.approx(20, abs=0.5)

    client.sendall(b"HEAD / HTTP/1.1\r\nHost: h2\r\n\r\n")  # accepted by this kernel; the other one answers with RST
    net.settle()
    assert client.recv(4096) == b""
    with pytest.raises(BrokenPipeError):
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: h2\r\n\r\n")


def test_a_reload_lets_requests_finish(net: Net, server: RunningProgram) -> None:
    """SIGHUP starts new workers; the old one sends its response to the end."""
    client = net.h1.connect(("h2", 80))
    client.sendall(b"GET / HTTP/1.1\r\nHost: h2\r\nConnection: close\r\n\r\n")
    received = client.recv(4096)
    server.signal(signal.SIGHUP)
    while chunk := client.recv(4096):
        received += chunk
    assert received.endswith(b"x" * 4096)
