"""Closing a connection: one side after the other, both at the same time, or one side only."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_timer,
    approx_trip,
    entered,
    exchange,
    seconds,
    sockets_in,
    tracepoint_steps,
    transition,
    witnesses,
)
from tcp_steps import open_connection, read_to_end, retransmission_timers, snapshots

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

TIME_WAIT = 60.0
FIN_TIMEOUT = 60.0


@pytest.mark.handshake_slow
@pytest.mark.scenario(30)
def test_normal_close_client_first(net: Net) -> None:
    """RFC 9293, figure 12: FIN, ACK, FIN, ACK; the side that closed first waits 2 MSL, which is 60 s in Linux.

    The ACK of a FIN that is the first received segment is delayed until the next tick of the clock, in case data can
    be sent with it (tcp_send_delayed_ack(), net/ipv4/tcp_output.c, with an ato of 0).
    """
    client, server, _ = open_connection(net)
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.sleep(net.rtt)
    server.close()
    read_to_end(client)
    client.close()
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 FA", "h1 A"]
    assert ours.states == [
        *("CLOSED", "SYN-SENT", "ESTABLISHED"),
        *("FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"),
    ]
    assert theirs.states == [
        *("CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"),
        *("CLOSE-WAIT", "LAST-ACK", "CLOSED"),
    ]
    assert seconds(ours.time_in("FIN-WAIT-1")) == approx_timer(0, plus=net.rtt)
    assert seconds(theirs.time_in("LAST-ACK")) == approx_trip(net.rtt)
    assert seconds(ours.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)
    assert (net.h1.counters()["TW"], net.h2.counters()["TW"]) == (1, 0)


@pytest.mark.handshake_slow
@pytest.mark.scenario(31)
def test_normal_close_server_first(net: Net) -> None:
    """RFC 9293, figure 12, mirrored: the side that closed first waits in TIME-WAIT, also if it is the server."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    server.shutdown(socket.SHUT_WR)
    read_to_end(client)
    net.sleep(net.rtt)
    client.close()
    read_to_end(server)
    server.close()
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h2 FA", "h1 A", "h1 FA", "h2 A"]
    assert ours.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert theirs.states == [
        *("CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"),
        *("FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"),
    ]
    assert seconds(theirs.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)
    assert (net.h1.counters()["TW"], net.h2.counters()["TW"]) == (0, 1)


@pytest.mark.handshake_slow
@pytest.mark.scenario(32)
def test_fin_plus_ack_to_time_wait(net: Net) -> None:
    """RFC 9293, figure 5, note 2: if the ACK of the FIN is lost, the peer's FIN carries it, and FIN-WAIT-2 is skipped.

    Linux makes two transitions for one segment (tcp_rcv_state_process() and tcp_fin(), net/ipv4/tcp_input.c): the
    tracepoint reports FIN-WAIT-1→FIN-WAIT-2→CLOSED at one time, and only sock_diag can show TIME-WAIT.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    lost = net.drop("ACK", from_="h2")
    client.shutdown(socket.SHUT_WR)
    lost.wait()
    server.close()
    read_to_end(client)
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    first, *others = exchange(net.record(), after=began)
    # If the server is slow to close, the FIN is retransmitted, possibly while the server's FIN is in flight.
    again = others.count("h1 FA")
    assert first == "h1 FA"
    assert sorted(others) == sorted(["h2 A", "h2 FA", "h1 A", *["h1 FA", "h2 A"] * again])
    assert others.index("h2 FA") < others.index("h1 A")
    assert ours.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT", "CLOSED"]
    assert theirs.states[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(ours, "TIME-WAIT").edge == "21"
    assert tracepoint_steps(net.observations, ours)[-2:] == ["FIN-WAIT-1→FIN-WAIT-2", "FIN-WAIT-2→CLOSED"]
    assert "diag" in witnesses(ours, "TIME-WAIT")
    assert entered(ours, "TIME-WAIT") - entered(theirs, "LAST-ACK") == approx_trip(net.one_way)
    assert seconds(ours.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)


@pytest.mark.handshake_slow
@pytest.mark.scenario(33)
def test_simultaneous_close(net: Net) -> None:
    """RFC 9293, figure 13: FINs that cross take both sides to CLOSING and to TIME-WAIT."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.close()
    server.close()
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert sorted(exchange(net.record(), after=began)[:2]) == ["h1 FA", "h2 FA"]
    assert sorted(exchange(net.record(), after=began)[2:]) == ["h1 A", "h2 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    for end in (ours, theirs):
        assert tracepoint_steps(net.observations, end)[-1] == "CLOSING→CLOSED"
        # The FIN and its ACK take one trip each; the peer's FIN may arrive at any time in between.
        assert entered(end, "TIME-WAIT") - entered(end, "FIN-WAIT-1") == approx_trip(net.rtt)
        assert seconds(end.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)


@pytest.mark.handshake_slow
@pytest.mark.scenario(34)
def test_half_close(net: Net) -> None:
    """RFC 9293, 3.6: after its FIN a side still receives; FIN-WAIT-2 and CLOSE-WAIT last as long as the peer sends."""
    client, server, _ = open_connection(net)
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(server) == 0
    net.sleep(net.rtt)
    server.sendall(bytes(100_000))
    server.close()
    received = read_to_end(client)
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert received == 100_000
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    data = [segment for segment in net.record().segments if segment.sender == "h2" and segment.length]
    assert sum(segment.length for segment in data) == 100_000
    arrived = [seconds(segment.received) for segment in data if segment.received]
    assert entered(ours, "FIN-WAIT-2") < min(arrived)
    assert entered(ours, "TIME-WAIT") - max(arrived) == approx_trip(0)
    assert entered(theirs, "CLOSED") - entered(ours, "TIME-WAIT") == approx_trip(net.one_way)
    assert seconds(ours.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT)
    assert all(snapshot.inode for snapshot in snapshots(net, ours) if snapshot.state == "FIN-WAIT-2")


@pytest.mark.handshake_slow
@pytest.mark.scenario(35)
@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2"])
def test_shutdown_then_close(net: Net, state: str) -> None:
    """RFC 9293, 3.10.4: close() after shutdown() sends no second FIN.

    The tracepoint reports a transition from a state to itself (tcp_close_state(), net/ipv4/tcp.c).
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    net.wait_for_state(client, state)
    client.close()
    read_to_end(server)
    net.sleep(net.rtt)
    server.close()
    net.wait_until_closed()

    ours = net.history(client)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 FA", "h1 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert net.history(server).states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    loops = [message for message in tracepoint_steps(net.observations, ours) if len(set(message.split("→"))) == 1]
    assert loops == [f"{state}→{state}"]


@pytest.mark.handshake_slow
@pytest.mark.scenario(36)
def test_orphan_fin_wait_2(net: Net) -> None:
    """tcp_fin_timeout: an orphan's FIN-WAIT-2 ends after 60 s, although RFC 9293, 3.6 has no such limit.

    The peer is not notified, and stays in its state: it is observed for ten more minutes, or one in real time.
    The tracepoint reports FIN-WAIT-2→CLOSED at once, when a mini-socket replaces the socket (tcp_time_wait(),
    net/ipv4/tcp_minisocks.c), and nothing when the mini-socket ends.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.close()
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    net.wait_until_gone(client)
    net.sleep(600 if net.kernel.kind == "lab" else 60)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert seconds(ours.time_in("FIN-WAIT-2")) == approx_timer(FIN_TIMEOUT)
    assert transition(ours, "CLOSED").edge == "31"
    assert tracepoint_steps(net.observations, ours)[-1] == "FIN-WAIT-2→CLOSED"
    assert witnesses(ours, "CLOSED") == {"diag"}
    mini = [snapshot for snapshot in snapshots(net, ours) if snapshot.state == "FIN-WAIT-2"]
    assert [(snapshot.timer, snapshot.inode) for snapshot in mini] == [("timewait", 0)]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT"]
    assert len(sockets_in(net.h2.sockets(), "CLOSE-WAIT")) == 1


@pytest.mark.handshake_slow
@pytest.mark.scenario(37)
def test_held_fin_wait_2(net: Net) -> None:
    """RFC 9293, 3.6: FIN-WAIT-2 of a socket that a process holds has no timer: it waits for the peer indefinitely.

    Here it waits for an hour, or in real time for two minutes, twice as long as an orphan (tcp_fin_timeout).
    """
    long_enough = 3600 if net.kernel.kind == "lab" else 120
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.sleep(long_enough)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT"]
    waiting = [snapshot for snapshot in net.h1.sockets() if snapshot.cookie == client.cookie]
    assert [(snapshot.state, snapshot.timer, snapshot.inode != 0) for snapshot in waiting] == [("FIN-WAIT-2", "", True)]
    assert seconds(ours.time_in("FIN-WAIT-2")) >= long_enough - net.rtt


@pytest.mark.scenario(38)
def test_linger2(net: Net) -> None:
    """TCP_LINGER2 (tcp(7)): an orphan waits this long in FIN-WAIT-2; later segments are answered with a RST.

    It waits at least 3.5 RTO; 5 s are more than that if the round trip takes less than half a second (tcp_time_wait(),
    net/ipv4/tcp_minisocks.c).
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    _, timeout = retransmission_timers(net, "h1")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 5)
    began = seconds(net.clock.now())
    client.close()
    read_to_end(server)
    net.wait_until_gone(client)
    server.sendall(b"Are you still there?")
    net.wait_until_gone(server)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 PA", "h1 R"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert seconds(ours.time_in("FIN-WAIT-2")) == approx_timer(max(5.0, 3.5 * timeout))
    assert witnesses(ours, "CLOSED") == {"diag"}
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "26.CW"


@pytest.mark.scenario(39)
@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-2"])
def test_linger2_negative(net: Net, state: str) -> None:
    """TCP_LINGER2 below 0: an orphan does not wait in FIN-WAIT-2, and the peer receives a RST.

    Closed in FIN-WAIT-2, it is reset by close() (__tcp_close(), net/ipv4/tcp.c); closed before, by the ACK of its
    FIN (tcp_rcv_state_process(), net/ipv4/tcp_input.c).
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    began = seconds(net.clock.now())
    if state == "FIN-WAIT-2":
        client.shutdown(socket.SHUT_WR)
        net.wait_for_state(client, state)
    client.close()
    read_to_end(server)
    net.wait_until_gone(server)
    with pytest.raises(OSError) as refused:  # noqa: PT011 -- the errno is checked
        server.send(b"Are you still there?")

    ours, theirs = net.history(client), net.history(server)
    reset, counter = ("R", "TCPAbortOnData") if state == "ESTABLISHED" else ("RA", "TCPAbortOnLinger")
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", f"h1 {reset}"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert seconds(ours.time_in("FIN-WAIT-2")) == approx_trip(0)
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert refused.value.errno == errno.EPIPE
    assert net.h1.counters()[counter] == 1
