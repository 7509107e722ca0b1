"""Opening a connection, with all faults of the network on its three segments."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_giving_up,
    approx_timer,
    approx_times,
    approx_trip,
    approx_waits,
    endpoint,
    endpoints,
    entered,
    kernel_since,
    kernel_version,
    seconds,
    sent,
    sent_at,
    sent_flags,
    syn_schedule,
    synack_schedule,
    witnesses,
)

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")


@pytest.mark.scenario(1)
def test_three_way_handshake(net: Net) -> None:
    """RFC 9293, figure 6: SYN, SYN-ACK, ACK; the client is ESTABLISHED after one RTT, the server half an RTT later.

    In Linux the server's SYN-RECEIVED is a request socket (tcp_conn_request()), which only sock_diag shows;
    the tracepoint reports it only when the ACK completes the handshake.
    """
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "SA", "A"]
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)
    assert witnesses(accepted, "SYN-RECEIVED") == {"diag", "capture"}
    assert witnesses(accepted, "ESTABLISHED") >= {"tracepoint", "diag", "capture"}


@pytest.mark.scenario(2)
def test_connect_refused(net: Net) -> None:
    """RFC 9293, 3.10.7.1 and 3.10.7.3: without a listener the SYN is answered with RST-ACK and connect() is refused."""
    client = net.h1.socket()
    with pytest.raises(ConnectionRefusedError):
        client.connect((net.h2.ip, 80))

    history = net.history(client)
    assert history.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert history.transitions[-1].cause.kind == "reset"
    assert sent_flags(net.record()) == ["S", "RA"]
    assert seconds(history.time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert net.h2.counters()["OutRsts"] == 1
    assert net.h2.sockets() == []


@pytest.mark.scenario(3)
def test_syn_lost_1(net: Net) -> None:
    """RFC 6298, 2.1: the first SYN is lost, and is retransmitted after one second."""
    net.drop("SYN", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened = net.history(client)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert net.history(server).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "S", "SA", "A"]
    assert [segment.lost for segment in net.record().segments] == [True, False, False, False]
    assert seconds(opened.time_in("SYN-SENT")) == approx_timer(1.0, plus=net.rtt)
    assert net.h1.counters()["TCPSynRetrans"] == 1


@pytest.mark.scenario(4)
def test_syn_lost_3(net: Net) -> None:
    """RFC 6298, 5.5: each wait for an answer to the SYN is twice the previous one, so the fourth is sent after 7 s.

    Since Linux 6.5 the first four waits take one second each (net.ipv4.tcp_syn_linear_timeouts): it is sent after 3 s.
    """
    net.drop("SYN", first=3, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)

    opened = net.history(client)
    waits = [1, 1, 1] if kernel_since(net.kernel, 6, 5) else [1, 2, 4]
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "S", "S", "S", "SA", "A"]
    assert sent_at(net.record(), "S") == approx_waits(*waits, hz=net.kernel.hz)
    answered = entered(opened, "ESTABLISHED") - sent_at(net.record(), "S")[-1]
    assert answered == approx_trip(net.rtt)
    assert net.h1.counters()["TCPSynRetrans"] == 3


@pytest.mark.handshake_slow
@pytest.mark.scenario(5)
def test_syn_blackhole(net: Net) -> None:
    """net.ipv4.tcp_syn_retries = 6: seven SYNs without an answer, then connect() fails with ETIMEDOUT after 127 s.

    Since Linux 6.5 the four of tcp_syn_linear_timeouts are added: eleven SYNs, 131 s.
    """
    net.drop("SYN", from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.socket()
    with pytest.raises(TimeoutError, match="Connection timed out"):
        client.connect(listener.getsockname())

    history = net.history(client)
    linear = kernel_since(net.kernel, 6, 5)
    schedule = syn_schedule(kernel_version(net.kernel))
    assert (schedule.sendings, seconds(schedule.fails)) == ((11, 131) if linear else (7, 127))
    assert history.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert history.transitions[-1].edge == "29.SS"
    assert sent_flags(net.record()) == ["S"] * schedule.sendings
    assert sent_at(net.record(), "S") == approx_times(schedule, hz=net.kernel.hz)
    assert seconds(history.time_in("SYN-SENT")) == approx_giving_up(schedule, hz=net.kernel.hz)
    assert net.h1.counters()["TCPTimeouts"] == schedule.sendings
    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]


@pytest.mark.scenario(6)
def test_syn_blackhole_syncnt(net: Net) -> None:
    """tcp(7): with TCP_SYNCNT = 2 the SYN is retransmitted twice; connect() fails after 7 s.

    Since Linux 6.5 the four of tcp_syn_linear_timeouts are added to these two: they are sent after 1, 2, 3, 4 and 5 s.
    The sixth, which would be due after 7 s, is not sent, because two doubled waits would be over by then
    (retransmits_timed_out() in tcp_write_timeout(), net/ipv4/tcp_timer.c): it fails after 7 s, not 11.
    """
    net.drop("SYN", from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 2)
    with pytest.raises(TimeoutError, match="Connection timed out"):
        client.connect(listener.getsockname())

    history = net.history(client)
    schedule = syn_schedule(kernel_version(net.kernel), retries=2)
    assert history.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert history.transitions[-1].edge == "29.SS"
    assert (schedule.sendings, seconds(schedule.fails)) == (6 if kernel_since(net.kernel, 6, 5) else 3, 7)
    assert sent_flags(net.record()) == ["S"] * schedule.sendings
    assert sent_at(net.record(), "S") == approx_times(schedule, hz=net.kernel.hz)
    assert seconds(history.time_in("SYN-SENT")) == approx_giving_up(schedule, hz=net.kernel.hz)


@pytest.mark.scenario(7)
def test_synack_lost_1(net: Net) -> None:
    """RFC 9293, 3.8.1: the SYN-ACK is lost, so each side retransmits after a second.

    The two timers expire at nearly the same time. If the client's SYN arrives first, it is answered with the SYN-ACK,
    and the server's timer restarts (tcp_check_req(), net/ipv4/tcp_minisocks.c); otherwise the SYN-ACK is sent twice.
    """
    net.drop("SYN-ACK", nth=1, from_="h2")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record(), sender="h1")[:2] == ["S", "S"]
    assert sent_flags(net.record(), sender="h2")[:2] == ["SA", "SA"]
    assert sent_at(net.record(), "S") == approx_waits(1, hz=net.kernel.hz)
    lost, *again = sent(net.record(), "SA")
    assert [lost.lost, *(segment.lost for segment in again)] == [True] + [False] * len(again)
    assert sent_at(net.record(), "SA")[1] - sent_at(net.record(), "SA")[0] == approx_timer(1, hz=net.kernel.hz)
    assert seconds(opened.time_in("SYN-SENT")) == approx_timer(1, plus=net.rtt, hz=net.kernel.hz)
    assert net.h1.counters()["TCPSynRetrans"] == 1
    assert net.h2.counters()["TCPSynRetrans"] == len(again)


@pytest.mark.handshake_slow
@pytest.mark.scenario(8)
def test_synack_blackhole(net: Net) -> None:
    """net.ipv4.tcp_synack_retries = 5: six SYN-ACKs without an answer, then the request is dropped after 63 s.

    No program is notified: a request socket has none. The tracepoint does not report it (reqsk_timer_handler()).
    """
    net.drop("SYN-ACK", from_="h2")
    listener = net.h2.listen(80)
    client = net.h1.begin_connect(listener)
    net.wait_for_state(client, "SYN-SENT")
    client.close()
    net.h2.wait_for("SYN-RECEIVED")
    net.h2.wait_for("SYN-RECEIVED", count=0)

    left = net.history(client)
    request = endpoint(net.record(), "h2", "server")
    assert left.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert left.transitions[-1].edge == "8"
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert request.transitions[-1].edge == "30"
    assert witnesses(request, "SYN-RECEIVED") == {"diag", "capture"}
    assert witnesses(request, "CLOSED") == {"diag"}
    assert sent_flags(net.record()) == ["S"] + ["SA"] * 6
    assert sent_at(net.record(), "SA") == approx_times(synack_schedule(), hz=net.kernel.hz)
    assert seconds(request.time_in("SYN-RECEIVED")) == approx_giving_up(synack_schedule(), hz=net.kernel.hz)
    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]


@pytest.mark.scenario(9)
def test_third_ack_lost(net: Net) -> None:
    """RFC 9293, 3.5: the ACK is lost; the client is ESTABLISHED, the server retransmits its SYN-ACK after a second."""
    net.drop("ACK", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "SA", "A", "SA", "A"]
    assert sent_at(net.record(), "SA") == approx_waits(1, hz=net.kernel.hz)
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_timer(1, plus=net.rtt, hz=net.kernel.hz)


@pytest.mark.scenario(10)
def test_third_ack_lost_then_data(net: Net) -> None:
    """RFC 9293, 3.10.7.4: any segment that acknowledges the SYN-ACK ends SYN-RECEIVED, here the first data.

    Data carries an ACK, so a lost third segment causes no delay if the client sends first.
    """
    net.drop("ACK", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    client.sendall(b"hello")
    server, _ = listener.accept()

    accepted = net.history(server)
    assert server.recv(5) == b"hello"
    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record()) == ["S", "SA", "A", "PA", "A"]
    data = net.record().segments[3]
    assert accepted.transitions[-1].cause.segment == data.number
    assert (data.rel_seq, data.rel_ack, data.length) == (1, 1, 5)
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)


@pytest.mark.handshake_slow
@pytest.mark.scenario(11)
def test_third_ack_never(net: Net) -> None:
    """net.ipv4.tcp_synack_retries = 5: no ACK ever arrives, so the server drops the request after 63 s; the client,
    ESTABLISHED after one RTT, is not notified: the connection is half-open (RFC 9293, 3.5.1).
    """
    net.drop("ACK", from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    net.h2.wait_for("SYN-RECEIVED", count=0)

    opened = net.history(client)
    request = endpoint(net.record(), "h2", "server")
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert request.transitions[-1].edge == "30"
    assert witnesses(request, "CLOSED") == {"diag"}
    assert sent_flags(net.record(), sender="h2") == ["SA"] * 6
    assert sent_flags(net.record(), sender="h1") == ["S"] + ["A"] * 6
    assert sent_at(net.record(), "SA") == approx_times(synack_schedule(), hz=net.kernel.hz)
    assert seconds(request.time_in("SYN-RECEIVED")) == approx_giving_up(synack_schedule(), hz=net.kernel.hz)
    assert [snapshot.state for snapshot in net.h1.sockets()] == ["ESTABLISHED"]
    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]


@pytest.mark.scenario(12)
def test_syn_dup(net: Net) -> None:
    """RFC 9293, figure 8: a duplicate SYN is recognised by its sequence number; both belong to one connection.

    Linux answers it with the SYN-ACK again (tcp_check_req()), at most once in 500 ms (net.ipv4.tcp_invalid_ratelimit).
    """
    net.duplicate("SYN", nth=1, copies=2, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    net.settle()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert [each.cookie for each in endpoints(net.record(), "h2", "server")] == [accepted.cookie]
    assert sent_flags(net.record()) == ["S", "SA", "SA", "A", "A"]
    assert [segment.flags for segment in net.record().segments if segment.copies == 1] == ["S", "S"]
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert net.h2.counters()["TCPACKSkippedSynRecv"] == 1
