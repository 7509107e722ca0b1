"""Listeners that close while connections wait for accept()."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_trip, endpoint, entered, exchange, seconds, sockets_in, transition, witnesses
from tcp_steps import PORT, arrived, errno_of, wait_for_socket

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")


@pytest.mark.scenario(53)
def test_listener_close_queued(net: Net) -> None:
    """listen(2): a connection that waits for accept() when its listener closes is reset.

    The accept queue is not part of any RFC; source: inet_csk_listen_stop(), net/ipv4/inet_connection_sock.c.
    """
    listener = net.h2.listen(PORT)
    client = net.h1.connect(listener)
    wait_for_socket(net, "h2", "ESTABLISHED")
    began = seconds(net.clock.now())
    listener.close()
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), endpoint(net.record(), "h2", "server")
    assert exchange(net.record(), after=began) == ["h2 RA"]
    assert ours.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSED"]
    assert theirs.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "39.ES"
    assert entered(theirs, "CLOSED") - began == approx_trip(0)
    assert entered(ours, "CLOSED") - entered(theirs, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.ECONNRESET
    assert net.h2.sockets() == []


def test_edge_39_cw(net: Net) -> None:
    """listen(2): a connection that waits for accept() in CLOSE-WAIT, after its client has closed, is reset too."""
    listener = net.h2.listen(PORT)
    client = net.h1.connect(listener)
    client.shutdown(socket.SHUT_WR)
    wait_for_socket(net, "h2", "CLOSE-WAIT")
    net.wait_for_state(client, "FIN-WAIT-2")
    began = seconds(net.clock.now())
    listener.close()
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), endpoint(net.record(), "h2", "server")
    assert exchange(net.record(), after=began) == ["h2 RA"]
    assert ours.states[3:] == ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert theirs.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "39.CW"
    assert entered(theirs, "CLOSED") - began == approx_trip(0)
    assert entered(ours, "CLOSED") - entered(theirs, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.ECONNRESET
    assert net.h2.sockets() == []


@pytest.mark.scenario(54)
def test_listener_close_pending_req(net: Net) -> None:
    """RFC 9293, 3.10.4: CLOSE in LISTEN deletes the TCB; in Linux a request is not a TCB and outlives its listener.

    It remains until its next segment, which is answered with a RST (tcp_v4_rcv(), net/ipv4/tcp_ipv4.c), or until its
    timer (reqsk_timer_handler(), net/ipv4/inet_connection_sock.c), whichever comes first.
    """
    listener = net.h2.listen(PORT)
    lost = net.drop("ACK", nth=1, from_="h1")
    client = net.h1.connect(listener)
    lost.wait()
    began = seconds(net.clock.now())
    listener.close()
    left = net.h2.sockets()
    client.sendall(b"Anybody there?")
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), endpoint(net.record(), "h2", "server")
    assert [(snapshot.state, snapshot.inode) for snapshot in left] == [("SYN-RECEIVED", 0)]
    assert exchange(net.record(), after=began) == ["h1 PA", "h2 R"]
    assert ours.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSED"]
    assert theirs.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "39.SR"
    assert witnesses(theirs, "CLOSED") == {"diag", "capture"}
    assert entered(theirs, "CLOSED") - arrived(net, "PA", "h2") == approx_trip(0)
    assert entered(ours, "CLOSED") - began == approx_trip(net.rtt)
    assert failure == errno.ECONNRESET
    assert sockets_in(net.h2.sockets(), "SYN-RECEIVED") == []
