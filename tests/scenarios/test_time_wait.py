"""TIME-WAIT: events that end it early, and new connections with its addresses."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_timer,
    approx_trip,
    endpoints,
    entered,
    exchange,
    seconds,
    sockets_in,
    tracepoint_steps,
    transition,
    witnesses,
)
from tcp_steps import PORT, Connection, arrived, errno_of, open_connection, read_to_end

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

TIME_WAIT = 60.0
#: The port of both connections, so that the new one meets the TIME-WAIT of the old one.
SAME = 40_000


def close_in_turn(net: Net, first: RecordedSocket, second: RecordedSocket) -> None:
    """Close a connection with four segments; the side that closes first is in TIME-WAIT, the other CLOSED."""
    first.shutdown(socket.SHUT_WR)
    read_to_end(second)
    net.sleep(net.rtt)
    second.close()
    read_to_end(first)
    first.close()
    net.wait_until_gone(second)


@pytest.mark.scenario(55)
def test_tw_assassination(net: Net) -> None:
    """RFC 1337: a RST with the next sequence number ends TIME-WAIT, and with it the protection from old segments.

    Linux permits it, unless tcp_rfc1337 is set (tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c); the
    tracepoint does not report events of mini-sockets.
    """
    client, server, _ = open_connection(net)
    close_in_turn(net, client, server)
    began = seconds(net.clock.now())
    net.inject("RST", to="h1")
    net.wait_until_gone(client)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == []
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "34"
    assert entered(ours, "CLOSED") - arrived(net, "R", "h1") == approx_trip(0)
    assert witnesses(ours, "CLOSED") == {"diag", "capture"}
    assert tracepoint_steps(net.observations, ours)[-1] == "FIN-WAIT-2→CLOSED"


@pytest.mark.handshake_slow
@pytest.mark.scenario(56)
@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_rfc1337": 1})
def test_tw_rfc1337(net: Net) -> None:
    """RFC 1337, 3 (F1): with tcp_rfc1337, a RST in TIME-WAIT is ignored, and TIME-WAIT lasts 60 s."""
    client, server, _ = open_connection(net)
    close_in_turn(net, client, server)
    began = seconds(net.clock.now())
    net.inject("RST", to="h1")
    net.wait_until_gone(client)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == []
    assert began < arrived(net, "R", "h1") < entered(ours, "CLOSED")
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "20"
    assert seconds(ours.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)
    assert witnesses(ours, "CLOSED") == {"diag"}


@pytest.mark.scenario(57)
def test_tw_reopen_by_syn(net: Net) -> None:
    """RFC 9293, 3.6.1: a new SYN from the same addresses opens the connection again, directly from TIME-WAIT.

    In Linux the SYN must have a higher sequence number or a later timestamp (tcp_timewait_state_process(),
    net/ipv4/tcp_minisocks.c); the mini-socket is removed, and the listener receives the SYN (tcp_v4_rcv()).
    """
    listener = net.h2.listen(PORT)
    old = Connection(net.h1.begin_connect(listener, port=SAME), listener.accept()[0], listener)
    close_in_turn(net, old.server, old.client)
    began = seconds(net.clock.now())
    waiting = sockets_in(net.h2.sockets(), "TIME-WAIT")
    client = net.h1.begin_connect(listener, port=SAME)
    server, _ = listener.accept()

    closed, opened = endpoints(net.record(), "h2", "server")
    assert len(waiting) == 1
    assert closed.states[-4:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert opened.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert (opened.local, opened.remote) == (closed.local, closed.remote)
    assert opened.cookie == server.cookie
    assert transition(closed, "CLOSED").edge == "35"
    assert entered(closed, "CLOSED") - arrived(net, "S", "h2") == approx_trip(0)
    assert exchange(net.record(), after=began) == ["h1 S", "h2 SA", "h1 A"]
    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert seconds(net.history(client).time_in("SYN-SENT")) == approx_trip(net.rtt)


@pytest.mark.scenario(58)
@pytest.mark.handshake(
    sysctls={"h1:net.ipv4.tcp_tw_reuse": 1, "h1:net.ipv4.ip_local_port_range": f"{SAME} {SAME}"},
)
def test_tw_reuse_client(net: Net) -> None:
    """RFC 6191: the side in TIME-WAIT may open the same connection again after a second, distinguished by timestamps.

    Linux does so with tcp_tw_reuse=1; by default over loopback only (tcp_twsk_unique(), net/ipv4/tcp_ipv4.c). The
    only port that h1 may choose is that of the old connection.
    """
    old = open_connection(net)
    close_in_turn(net, old.client, old.server)
    too_early = errno_of(lambda: net.h1.connect(old.listener))
    net.sleep(2)
    waiting = sockets_in(net.h1.sockets(), "TIME-WAIT")
    began = seconds(net.clock.now())
    client = net.h1.connect(old.listener)
    old.listener.accept()

    closed, opened = net.history(old.client), net.history(client)
    assert too_early == errno.EADDRNOTAVAIL
    assert len(waiting) == 1
    assert closed.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert (opened.local, opened.remote) == (closed.local, closed.remote)
    assert transition(closed, "CLOSED").edge == "36"
    assert entered(closed, "CLOSED") - began == approx_trip(0)
    assert exchange(net.record(), after=began) == ["h1 S", "h2 SA", "h1 A"]
    assert [end.states[-1] for end in endpoints(net.record(), "h2", "server")] == ["CLOSED", "ESTABLISHED"]
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)


@pytest.mark.scenario(59)
@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_max_tw_buckets": 0})
def test_tw_bucket_overflow(net: Net) -> None:
    """tcp_max_tw_buckets: if the table is full there is no TIME-WAIT, in contrast to RFC 9293, 3.6.

    Source: tcp_time_wait(), net/ipv4/tcp_minisocks.c: the last ACK is sent, and the connection is deleted.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    close_in_turn(net, client, server)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 FA", "h1 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "37.F2"
    assert entered(ours, "CLOSED") - entered(theirs, "LAST-ACK") == approx_trip(net.one_way)
    assert net.h1.counters()["TCPTimeWaitOverflow"] == 1
    assert net.h1.sockets() == []
