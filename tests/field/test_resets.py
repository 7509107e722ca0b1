"""A RST that ends a connection is its cause; one that the kernel is right to ignore is nothing to object to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import crafted
import pytest
from complaints import complaints, describe, last
from handshake_lab import judge, transition
from tcp_steps import open_connection, read_to_end

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="5ms")


def test_rst_ack_in_last_ack(net: Net) -> None:
    """RFC 9293, 3.10.7.4: the RST is processed before the ACK, so that this is edge 26, not 19."""
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


@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_rfc1337": 1})
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


@pytest.mark.parametrize("flags", ["SYN", "SYN-ACK"])
def test_syn_in_the_window_of_an_orphan(net: Net, flags: str) -> None:
    """Linux answers it with a RST and drops the mini-socket: no table was full (tcp_timewait_state_process())."""
    client, server, _ = open_connection(net)
    client.close()
    read_to_end(server)
    net.sleep(0.1)
    net.inject(flags, to="h1", seq=100)
    net.sleep(0.1)
    end = net.history(client)
    if end.states[-2:] != ["FIN-WAIT-2", "CLOSED"]:
        pytest.fail(f"the {flags} was to end FIN-WAIT-2: {end.states}")

    assert last(end) == ("45", "segment"), describe(net.record())
    assert end.transitions[-1].cause.text == f"received {flags}"


def test_syn_at_once_in_the_window_of_an_orphan(net: Net) -> None:
    """The same at the time at which FIN-WAIT-2 begins: no poll shows the mini-socket, and no LINGER2 was set."""
    client, _, _ = open_connection(net)
    net.sleep(net.rtt)
    net.network.fault("inject SYN to h1 seq=+0 on ACK nth=1")
    client.close()
    net.sleep(0.1)
    end = net.history(client)
    if end.states[-2:] != ["FIN-WAIT-2", "CLOSED"]:
        pytest.fail(f"the SYN was to end FIN-WAIT-2: {end.states}")

    assert last(end) == ("45", "segment"), describe(net.record())


@pytest.mark.parametrize(
    ("seq", "ends"), [(100, False), (-1, False)], ids=["in the window", "before what is expected next"]
)
def test_rst_that_time_wait_ignores(net: Net, seq: int, ends: bool) -> None:
    """Only an exact RST ends TIME-WAIT (tcp_timewait_state_process()): another one is nothing to object to."""
    client, server, _ = open_connection(net)
    client.close()
    net.sleep(0.1)
    server.close()
    net.sleep(0.1)
    net.inject("RST", to="h1", seq=seq)
    net.sleep(1)

    assert (net.history(client).states[-1] == "CLOSED") is ends
    assert complaints(net.record()) == [], describe(net.record())


@pytest.mark.handshake(delay="5ms", sysctls={"h1:net.ipv4.tcp_sack": 0})
def test_rst_behind_a_hole_without_sack(net: Net) -> None:
    """Without SACK, a RST after data that was received after a gap is not exact: a challenge ACK is correct."""
    client, server, _ = open_connection(net)
    net.drop("DATA", nth=1, from_="h2")
    server.sendall(b"lost")
    server.sendall(b"early")
    net.sleep(2 * net.rtt)
    net.inject("RST", to="h1", seq=len("lost") + len("early"))
    net.sleep(net.rtt)
    end = net.history(client)

    assert end.states[-1] == "ESTABLISHED"
    assert complaints(net.record()) == [], describe(net.record())


def test_rst_exact_after_refused_data(net: Net) -> None:
    """Data that acknowledge what was never sent are refused: a RST that is exact by what was taken is the cause."""
    client, server, _ = open_connection(net)
    server.sendall(b"taken")
    net.sleep(net.rtt)
    *_, data = (each for each in net.record().segments if each.length)
    after = data.seq + data.length
    crafted.send(net, "h2", data.src, data.dst, "ACK", after, data.ack + 70_000, b"refused")
    net.sleep(net.rtt)
    crafted.send(net, "h2", data.src, data.dst, "RST", after, None)
    net.sleep(net.rtt)
    end = net.history(client)
    if end.states[-1] != "CLOSED":
        pytest.fail(f"the RST was to end the connection: {end.states}")

    assert last(end) == ("26.ES", "reset"), describe(net.record())


def test_fin_after_refused_data(net: Net) -> None:
    """The FIN that is in order by what was taken is the cause, though by all that came it is not."""
    client, server, _ = open_connection(net)
    server.sendall(b"taken")
    net.sleep(net.rtt)
    *_, data = (each for each in net.record().segments if each.length)
    crafted.send(net, "h2", data.src, data.dst, "ACK", data.seq + data.length, data.ack + 70_000, bytes(1000))
    net.sleep(net.rtt)
    server.close()
    net.sleep(2 * net.rtt)
    closing = transition(net.history(client), "CLOSE-WAIT")

    assert (closing.edge, closing.cause.text) == ("13", "received FIN-ACK"), describe(net.record())
    assert not [finding for finding in judge(net.record()).findings if "retransmitted" in finding.text]
