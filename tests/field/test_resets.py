"""A RST that ends a connection is its cause; one that the kernel is right to ignore is nothing to object to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe, last
from tcp_steps import open_connection, read_to_end

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net

pytestmark = pytest.mark.network(delay="5ms")

in_last_ack = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="a RST-ACK in LAST-ACK is taken for the ACK of the FIN"
)
in_window = pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="an orphan's FIN-WAIT-2 that a RST in the window ended is taken for a full table of TIME-WAIT",
)
rightly_ignored = pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a RST that tcp_rfc1337 has the kernel ignore is expected to end TIME-WAIT",
)


@in_last_ack
def test_rst_ack_in_last_ack(net: Net) -> None:
    """RFC 9293, 3.10.7.4: the RST is looked at before the ACK, so that this is edge 26, not 19."""
    client, server, _ = open_connection(net)
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.drop("FIN", from_="h2")
    server.close()
    net.sleep(2 * net.rtt)
    net.inject("RST-ACK", to="h2")
    net.sleep(2 * net.rtt)
    end = net.history(server)
    if end.states[-2:] != ["LAST-ACK", "CLOSED"]:
        pytest.fail(f"the RST was to end LAST-ACK: {end.states}")

    assert last(end) == ("26.LA", "reset"), describe(net.record())


@in_window
def test_rst_in_the_window_of_an_orphan(net: Net) -> None:
    """Linux drops an orphan's FIN-WAIT-2 for a RST that is not exact, too (tcp_timewait_state_process())."""
    client, server, _ = open_connection(net)
    client.close()
    read_to_end(server)
    net.sleep(0.1)
    net.inject("RST", to="h1", seq=100)
    net.sleep(0.1)
    end = net.history(client)
    if end.states[-2:] != ["FIN-WAIT-2", "CLOSED"]:
        pytest.fail(f"the RST was to end FIN-WAIT-2: {end.states}")

    assert last(end) == ("26.F2", "reset"), describe(net.record())


@rightly_ignored
@pytest.mark.network(sysctls={"h1:net.ipv4.tcp_rfc1337": 1})
def test_rfc1337(net: Net) -> None:
    """tcp_rfc1337=1: a RST in TIME-WAIT changes nothing, and so there is nothing to complain of."""
    client, server, _ = open_connection(net)
    client.close()
    net.sleep(0.1)
    server.close()
    net.sleep(0.1)
    net.inject("RST", to="h1")
    net.sleep(1)
    end = net.history(client)
    if end.states[-1] != "TIME-WAIT":
        pytest.fail(f"the RST was to be ignored: {end.states}")

    assert complaints(net.record()) == [], describe(net.record())
