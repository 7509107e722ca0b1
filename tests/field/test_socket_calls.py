"""Recorded sockets do what plain ones do, whichever calls a program makes, and are found again afterwards."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab.expect.timer_windows import endpoint, transition
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net

pytestmark = pytest.mark.handshake(delay="5ms")


def test_dup(net: Net) -> None:
    """dup() is another descriptor of the same socket: closing it closes nothing else."""
    client, _, _ = open_connection(net)
    client.dup().close()
    net.sleep(net.rtt)

    assert net.history(client).states[-1] == "ESTABLISHED"


def test_shutdown_sends_the_fin(net: Net) -> None:
    """shutdown() sends the FIN; the close() that follows at once has nothing left to send (__tcp_close(), tcp.c)."""
    client, _, _ = open_connection(net)
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    net.sleep(net.rtt)

    assert transition(net.history(client), "FIN-WAIT-1").cause.text == "shutdown(SHUT_RDWR)", describe(net.record())


def test_shutdown_while_connecting(net: Net) -> None:
    """shutdown() right after a connect() that does not block ends the attempt, edge 8 (inet_shutdown(), af_inet.c)."""
    client = net.h1.begin_connect(net.h2.listen(80))
    client.shutdown(socket.SHUT_RDWR)
    net.sleep(0.05)
    step = endpoint(net.record(), "h1", "client").transitions[-1]

    assert (step.edge, step.cause.text) == ("8", "shutdown(SHUT_RDWR)"), describe(net.record())


def test_history_after_shutdown_while_connecting(net: Net) -> None:
    """The socket that was shut down has its history."""
    client = net.h1.begin_connect(net.h2.listen(80))
    client.shutdown(socket.SHUT_RDWR)
    net.sleep(0.05)

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "CLOSED"]
