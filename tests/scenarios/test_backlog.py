"""A listener's queues: connections that wait for accept(), requests, SYN cookies, TCP_DEFER_ACCEPT."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_timer,
    approx_times,
    approx_trip,
    approx_waits,
    endpoints,
    entered,
    kernel_version,
    seconds,
    sent,
    sent_at,
    sent_flags,
    sockets_in,
    syn_schedule,
    transition,
    witnesses,
)

if TYPE_CHECKING:
    from handshake_lab import Endpoint, Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

#: One-way delay: in its round trip, even a slow machine starts two handshakes.
AT_ONCE = "300ms"


@pytest.mark.scenario(13)
def test_accept_queue_full_syn(net: Net) -> None:
    """listen(2): with backlog 0 one connection may wait for accept(); while it does, Linux drops every SYN.

    RFC 9293 has no such queue. The dropped SYN creates no request and gets no answer, so the client retransmits it
    (tcp_conn_request(), net/ipv4/tcp_input.c); ListenOverflows and ListenDrops count each.
    """
    listener = net.h2.listen(80, backlog=0)
    first = net.h1.connect(listener)
    net.h2.wait_for("ESTABLISHED")
    second = net.h1.socket()
    second.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    with pytest.raises(TimeoutError, match="Connection timed out"):
        second.connect(listener.getsockname())

    refused = net.history(second)
    schedule = syn_schedule(kernel_version(net.kernel), retries=1)
    assert net.history(first).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert refused.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert sent_flags(net.record(), of=refused) == ["S"] * schedule.sendings
    assert [segment.lost for segment in sent(net.record(), of=refused)] == [False] * schedule.sendings
    assert sent_at(net.record(), of=refused) == approx_times(schedule, hz=net.kernel.hz)
    assert [each.remote for each in endpoints(net.record(), "h2", "server")] == [net.history(first).local]
    assert net.h2.counters()["ListenOverflows"] == schedule.sendings
    assert net.h2.counters()["ListenDrops"] == schedule.sendings

    # With room in the queue again, the same listener answers at once.
    listener.accept()
    third = net.history(net.h1.connect(listener))
    assert third.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert seconds(third.time_in("SYN-SENT")) == approx_trip(net.rtt)


def fill(net: Net, listener: RecordedSocket) -> None:
    """Two connections that are not accepted: with backlog 2 there is room for one more."""
    for count in (1, 2):
        net.h1.connect(listener)
        net.h2.wait_for("ESTABLISHED", count=count)


def request_of(net: Net, client: Endpoint) -> Endpoint:
    """The server's endpoint of a client's connection, which may never have been accepted."""
    return next(each for each in endpoints(net.record(), "h2", "server") if each.remote == client.local)


@pytest.mark.scenario(14)
@pytest.mark.handshake(delay=AT_ONCE)
def test_accept_queue_full_ack(net: Net) -> None:
    """Two handshakes, room for one: Linux drops the second ACK, and its request stays in SYN-RECEIVED.

    By RFC 9293, 3.10.7.4, it would become ESTABLISHED. The client is ESTABLISHED; the SYN-ACK is retransmitted until
    there is room for the connection (listen_overflow in tcp_check_req(), net/ipv4/tcp_minisocks.c). With backlog 0
    there would be no second request: Linux would answer with a SYN cookie (inet_csk_reqsk_queue_is_full()).
    """
    listener = net.h2.listen(80, backlog=2)
    fill(net, listener)
    one, other = net.h1.begin_connect(listener), net.h1.begin_connect(listener)
    net.h2.wait_for("ESTABLISHED", count=3)
    net.sleep(5)  # the server is busy

    first, second = net.history(one), net.history(other)
    assert first.states == second.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert request_of(net, first).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert request_of(net, second).states == ["CLOSED", "LISTEN", "SYN-RECEIVED"]
    assert len(sockets_in(net.h2.sockets(), "SYN-RECEIVED")) == 1
    assert net.h2.counters()["ListenOverflows"] == 3

    # With room in the queue, the ACK of the next SYN-ACK completes the handshake.
    listener.accept()
    net.h2.wait_for("ESTABLISHED", count=4)
    assert request_of(net, second).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record(), of=first) == ["S", "SA", "A"]
    assert sent_flags(net.record(), of=second) == ["S", "SA", "A", "SA", "A", "SA", "A", "SA", "A"]
    assert sent_at(net.record(), "SA", of=second) == approx_waits(1, 2, 4, hz=net.kernel.hz)


@pytest.mark.scenario(15)
@pytest.mark.handshake(sysctls={"h2:net.ipv4.tcp_abort_on_overflow": 1}, delay=AT_ONCE)
def test_abort_on_overflow(net: Net) -> None:
    """net.ipv4.tcp_abort_on_overflow = 1: an ACK without room is answered with RST, and the request is dropped.

    The client was ESTABLISHED for one RTT and is reset.
    """
    listener = net.h2.listen(80, backlog=2)
    fill(net, listener)
    one, other = net.h1.begin_connect(listener), net.h1.begin_connect(listener)
    with pytest.raises(ConnectionResetError):
        other.recv(1)

    first, second = net.history(one), net.history(other)
    request = request_of(net, second)
    assert first.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert request_of(net, first).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert second.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSED"]
    assert second.transitions[-1].cause.kind == "reset"
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert request.transitions[-1].edge == "40"
    assert "tracepoint" not in witnesses(request, "CLOSED")
    assert sent_flags(net.record(), of=second) == ["S", "SA", "A", "R"]
    assert seconds(second.time_in("ESTABLISHED")) == approx_trip(net.rtt)
    assert sockets_in(net.h2.sockets(), "SYN-RECEIVED") == []
    assert net.h2.counters()["ListenOverflows"] == 1
    assert net.h2.counters()["EmbryonicRsts"] == 1
    assert net.h2.counters()["OutRsts"] == 1


@pytest.mark.scenario(16)
@pytest.mark.handshake(sysctls={"h2:net.ipv4.tcp_syncookies": 2})
def test_syncookies_2(net: Net) -> None:
    """RFC 4987, 3.6, net.ipv4.tcp_syncookies = 2: the server stores nothing about a SYN; its ISN is a cookie.

    Therefore sock_diag shows no SYN-RECEIVED; the connection is created from the ACK (cookie_v4_check(),
    net/ipv4/syncookies.c), with LISTEN→SYN-RECEIVED→ESTABLISHED at the same time.
    """
    listener = net.h2.listen(80)
    client = net.h1.begin_connect(listener)
    net.wait_for_state(client, "ESTABLISHED")
    assert sockets_in(net.h2.sockets(), "SYN-RECEIVED") == []
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert transition(accepted, "SYN-RECEIVED").edge == "41"
    assert "diag" not in witnesses(accepted, "SYN-RECEIVED")
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_trip(0)
    assert sent_flags(net.record()) == ["S", "SA", "A"]
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert entered(accepted, "ESTABLISHED") - entered(opened, "ESTABLISHED") == approx_trip(net.one_way)
    assert (net.h2.counters()["SyncookiesSent"], net.h2.counters()["SyncookiesRecv"]) == (1, 1)


@pytest.mark.scenario(17)
def test_defer_accept(net: Net) -> None:
    """tcp(7): with TCP_DEFER_ACCEPT = 3 s a listener wakes up for data only; a pure ACK is dropped.

    RFC 9293, 3.10.7.4, does not describe this. The request stays in SYN-RECEIVED; after that time Linux retransmits
    the SYN-ACK once, and accepts the ACK to it (syn_ack_recalc(), net/ipv4/inet_connection_sock.c).
    """
    listener = net.h2.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3)
    listener.bind((net.h2.ip, 80))
    listener.listen()
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "SA", "A", "SA", "A"]
    first, again = sent_at(net.record(), "SA")
    assert again - first == approx_timer(1, 2, hz=net.kernel.hz)
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_timer(1, 2, plus=net.rtt, hz=net.kernel.hz)
    assert net.h2.counters()["TCPDeferAcceptDrop"] == 1
    assert (net.h2.counters()["TCPTimeouts"], net.h2.counters()["TCPSynRetrans"]) == (2, 1)
