"""Scenarios whose result is deterministic, over a network that loses segments.

Whatever is lost, each side ends in the documented state, through documented transitions. Loss may
change which of these transitions it makes, and how long they take. With ``--seeds 1-50`` each runs
under fifty different losses. Each has the name of its scenario, by which `handshake scenarios run`
finds it. The other scenarios are about the loss of one particular segment.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import endpoint, endpoints, kernel_since
from tcp_steps import errno_of, open_connection, read_to_end

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = [pytest.mark.handshake(delay="50ms"), pytest.mark.handshake_slow, pytest.mark.handshake_lossy(loss="10%")]

OPENED = ["CLOSED", "SYN-SENT", "ESTABLISHED"]
ACCEPTED = ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
#: Of the side that closes first: the peer's FIN may acknowledge its FIN (RFC 9293, figure 5, note 2).
CLOSED_FIRST = (["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"], ["FIN-WAIT-1", "TIME-WAIT", "CLOSED"])
CLOSED_SECOND = ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]


def test_three_way_handshake(net: Net) -> None:
    """RFC 9293, 3.5: whichever of the three segments is lost, both sides become ESTABLISHED, by the same states."""
    client, server, _ = open_connection(net)

    assert net.history(client).states == OPENED
    assert net.history(server).states == ACCEPTED


def test_connect_refused(net: Net) -> None:
    """RFC 9293, 3.10.7.1: a SYN for a port without listener is refused, however often it or its RST is lost."""
    client = net.h1.socket()
    failure = errno_of(lambda: client.connect((net.h2.ip, 80)))

    assert failure == errno.ECONNREFUSED
    assert net.history(client).states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert endpoints(net.record(), "h2") == []


def test_third_ack_lost_then_data(net: Net) -> None:
    """RFC 9293, 3.10.7.4: if the third segment is lost, the first data replaces it; no byte is lost or duplicated."""
    client, server, _ = open_connection(net)
    client.sendall(b"0123456789" * 1000)
    client.shutdown(socket.SHUT_WR)
    received = b""
    while chunk := server.recv(65_536):
        received += chunk

    assert received == b"0123456789" * 1000
    assert net.history(server).states == [*ACCEPTED, "CLOSE-WAIT"]


def test_normal_close_client_first(net: Net) -> None:
    """RFC 9293, figure 12: the side that closes first enters TIME-WAIT, the other does not, whatever is lost."""
    client, server, _ = open_connection(net)
    _close(net, client, server)

    assert net.history(client).states in [[*OPENED, *way] for way in CLOSED_FIRST]
    assert net.history(server).states == [*ACCEPTED, *CLOSED_SECOND]


def test_normal_close_server_first(net: Net) -> None:
    """RFC 9293, figure 12, mirrored: the side that closed first waits in TIME-WAIT, whatever is lost."""
    client, server, _ = open_connection(net)
    _close(net, server, client)

    assert net.history(server).states in [[*ACCEPTED, *way] for way in CLOSED_FIRST]
    assert net.history(client).states == [*OPENED, *CLOSED_SECOND]


def _close(net: Net, first: RecordedSocket, second: RecordedSocket) -> None:
    first.shutdown(socket.SHUT_WR)
    read_to_end(second)
    second.close()
    read_to_end(first)
    first.close()
    net.wait_until_closed()


def test_simultaneous_open(net: Net) -> None:
    """RFC 9293, figure 7: both sides open actively and become ESTABLISHED, whether their SYNs cross or one is late."""
    one, two = net.h1.socket(), net.h2.socket()
    for end, host, peer in ((one, net.h1, net.h2), (two, net.h2, net.h1)):
        end.bind((host.ip, 4000))
        end.setblocking(False)
        assert end.connect_ex((peer.ip, 4000)) == errno.EINPROGRESS
    for end in (one, two):
        net.wait_for_state(end, "ESTABLISHED")

    for end in (one, two):
        # If the peer's SYN-ACK arrives before its SYN, it is the only segment received in SYN-SENT.
        assert net.history(end).states in (["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"], OPENED)
    assert any("SYN-RECEIVED" in net.history(end).states for end in (one, two))


def test_simultaneous_close(net: Net) -> None:
    """RFC 9293, figure 13: both close at once; each enters TIME-WAIT, by CLOSING or as if it had been first."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    client.close()
    server.close()
    net.wait_until_closed()

    ways = (["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"], *CLOSED_FIRST)
    assert net.history(client).states in [[*OPENED, *way] for way in ways]
    assert net.history(server).states in [[*ACCEPTED, *way] for way in ways]


def test_half_close(net: Net) -> None:
    """RFC 9293, 3.6: after its own FIN a side still receives; all 100 kB arrive, and then both close."""
    client, server, _ = open_connection(net)
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    server.sendall(bytes(100_000))
    server.close()
    received = read_to_end(client)
    client.close()
    net.wait_until_closed()

    assert received == 100_000
    assert net.history(client).states in [[*OPENED, *way] for way in CLOSED_FIRST]
    assert net.history(server).states == [*ACCEPTED, *CLOSED_SECOND]


def test_orphan_fin_wait_2(net: Net) -> None:
    """net.ipv4.tcp_fin_timeout: an orphan's FIN-WAIT-2 ends, although the peer never closes."""
    client, server, _ = open_connection(net)
    client.close()
    read_to_end(server)
    net.wait_until_gone(client)

    assert net.history(client).states == [*OPENED, "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert net.history(server).states == [*ACCEPTED, "CLOSE-WAIT"]


@pytest.mark.handshake(sysctls={"h2:net.ipv4.tcp_syncookies": 2})
def test_syncookies_2(net: Net) -> None:
    """RFC 4987, 3.6: a server that stores nothing about a SYN accepts when an ACK arrives, also that of the data."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    client.sendall(b"a")
    server, _ = listener.accept()

    assert server.recv(1) == b"a"
    assert net.history(client).states == OPENED
    assert endpoint(net.record(), "h2", "server").states == ACCEPTED


def test_syn_blackhole(net: Net) -> None:
    """net.ipv4.tcp_syn_retries: if every SYN is lost, TCP gives up after this number of retransmissions."""
    net.h1.sysctl("net.ipv4.tcp_syn_retries", 2)
    net.drop("SYN", from_="h1")
    failure = errno_of(lambda: net.h1.connect(("h2", 80)))

    # Since Linux 6.5 the four of tcp_syn_linear_timeouts are added; the time is over before the sixth.
    assert failure == errno.ETIMEDOUT
    assert len(net.record().segments) == (6 if kernel_since(net.kernel, 6, 5) else 3)
