"""Redis: a crash and a restart."""

from pathlib import Path

import pytest
from handshake_lab import Net

pytestmark = pytest.mark.needs("redis-server", "redis-server")


def ask(connection: object, *words: str) -> bytes:
    """One command in Redis's own protocol (RESP); returns the answer's first line."""
    parts = [f"*{len(words)}"] + [part for word in words for part in (f"${len(word)}", word)]
    connection.sendall("".join(f"{part}\r\n" for part in parts).encode())  # type: ignore[attr-defined]
    return connection.recv(4096)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.handshake(delay="10ms")
def test_a_crash_loses_nothing_that_was_written(net: Net, tmp_path: Path) -> None:
    """The client sees the end of its connection; after a restart, the append-only file has its data."""
    command = ["redis-server", "--bind", net.h2.ip, "--protected-mode", "no", "--dir", str(tmp_path)]
    command += ["--appendonly", "yes", "--appendfsync", "always"]
    server = net.h2.start(command, listening=6379)
    client = net.h1.connect(("h2", 6379))
    assert ask(client, "SET", "colour", "blue") == b"+OK\r\n"

    server.kill()
    assert client.recv(10) == b""  # the kernel closes a dead program's sockets: FIN
    client.send(b"PING\r\n")  # accepted by this kernel; the other one answers with RST
    net.settle()
    with pytest.raises(BrokenPipeError):  # EPIPE, not ECONNRESET: the end had been seen (tcp_reset(), CLOSE-WAIT)
        client.send(b"PING\r\n")

    net.h2.start(command, listening=6379)
    again = net.h1.connect(("h2", 6379))
    assert ask(again, "GET", "colour") == b"$4\r\nblue\r\n"
