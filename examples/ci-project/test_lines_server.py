"""The server over networks that a developer's machine does not have."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import endpoints, sockets_in

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="40ms")


@pytest.mark.handshake_lossy(loss="10%")
def test_answers_over_a_bad_network(net: Net, server: tuple[str, int]) -> None:
    """The client receives every line and the end of the stream, even if segments are lost."""
    text = b"".join(b"line %d\n" % number for number in range(2000))
    answer = b""
    with net.h1.connect(server) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        while chunk := client.recv(65536):
            answer += chunk

    assert answer == text


def test_leaves_nothing_behind(net: Net, server: tuple[str, int]) -> None:
    """After its client has closed, the server closes too: no socket stays in CLOSE-WAIT."""
    with net.h1.connect(server) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
    net.sleep(10 * net.rtt)

    assert sockets_in(net.h2.sockets(), "CLOSE-WAIT") == []


def test_survives_a_reset(net: Net, server: tuple[str, int]) -> None:
    """When one connection is reset, another one stays open."""
    with net.h1.connect(server) as first, net.h1.connect(server) as second:
        first.sendall(b"one\n")
        assert first.recv(100) == b"one\n"
        net.inject("RST", to="h2")
        net.sleep(net.rtt)
        second.sendall(b"two\n")

        assert second.recv(100) == b"two\n"
        assert [end.states[-1] for end in endpoints(net.record(), "h2", "server")] == ["CLOSED", "ESTABLISHED"]
