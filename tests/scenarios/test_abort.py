"""Connections that end with a RST: received, crafted in the network, or requested by the program."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_trip,
    entered,
    exchange,
    seconds,
    sockets_in,
    tracepoint_events,
    tracepoint_steps,
    transition,
    witnesses,
)
from tcp_steps import arrived, errno_of, open_connection, read_to_end

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

#: struct linger: on, for 0 seconds.
ABORT = struct.pack("ii", 1, 0)


@pytest.mark.scenario(44)
def test_rst_established(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a RST with exactly the next sequence number ends the connection; its peer is not notified."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    net.inject("RST", to="h1")
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == []
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "26.ES"
    assert entered(ours, "CLOSED") - arrived(net, "R", "h1") == approx_trip(0)
    assert failure == errno.ECONNRESET
    assert net.h1.counters()["EstabResets"] == 1
    assert theirs.states[3:] == ["ESTABLISHED"]


@pytest.mark.scenario(45)
def test_rst_inexact_established(net: Net) -> None:
    """RFC 5961, 3.2: a RST in the window that is not exact is answered with a challenge ACK, and changes no state."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    net.inject("RST", to="h1", seq=+1)
    net.sleep(net.rtt)
    asked = exchange(net.record(), after=began)
    server.sendall(b"Still there?")
    received = client.recv(100)

    ours, theirs = net.history(client), net.history(server)
    assert asked == ["h1 A"]
    assert net.h1.counters()["TCPChallengeACK"] == 1
    assert ours.states[2:] == ["ESTABLISHED"]
    assert theirs.states[3:] == ["ESTABLISHED"]
    assert arrived(net, "R", "h1") > began
    assert received == b"Still there?"


@pytest.mark.scenario(46)
def test_syn_in_established(net: Net) -> None:
    """RFC 5961, 4.2: a SYN in an open connection is answered with a challenge ACK, whatever its sequence number."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    net.inject("SYN", to="h1")
    net.sleep(net.rtt)
    asked = exchange(net.record(), after=began)
    server.sendall(b"Still there?")
    received = client.recv(100)

    ours, theirs = net.history(client), net.history(server)
    assert asked == ["h1 A"]
    assert net.h1.counters()["TCPSYNChallenge"] == 1
    assert ours.states[2:] == ["ESTABLISHED"]
    assert theirs.states[3:] == ["ESTABLISHED"]
    assert arrived(net, "S", "h1") > began
    assert received == b"Still there?"


@pytest.mark.scenario(47)
def test_rst_in_close_wait(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a RST also ends CLOSE-WAIT; the program gets EPIPE (tcp_reset(), tcp_input.c)."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    net.inject("RST", to="h2")
    net.wait_until_gone(server)
    failure = errno_of(lambda: server.send(b"Anything?"))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "26.CW"
    assert entered(theirs, "CLOSED") - arrived(net, "R", "h2") == approx_trip(0)
    assert failure == errno.EPIPE
    assert net.h2.counters()["EstabResets"] == 1


@pytest.mark.scenario(48)
def test_rst_in_fin_wait_1(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a RST that arrives before the ACK of the FIN ends FIN-WAIT-1; no socket receives that ACK."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    net.inject("RST", to="h1", on="FIN", nth=1)
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    failure = errno_of(lambda: client.recv(1))
    net.wait_until_gone(server)

    ours, theirs = net.history(client), net.history(server)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "26.F1"
    assert seconds(ours.time_in("FIN-WAIT-1")) == approx_trip(net.one_way)
    assert entered(ours, "CLOSED") - arrived(net, "R", "h1") == approx_trip(0)
    assert failure == errno.ECONNRESET
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h1 R"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]


@pytest.mark.scenario(48)
def test_rst_in_fin_wait_2(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a RST ends FIN-WAIT-2, also that of an orphan: its mini-socket is removed.

    Source: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c. The tracepoint does not report it.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.close()
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    net.inject("RST", to="h1")
    net.wait_until_gone(client)

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "26.F2"
    assert entered(ours, "CLOSED") - arrived(net, "R", "h1") == approx_trip(0)
    assert witnesses(ours, "CLOSED") == {"diag", "capture"}
    assert tracepoint_steps(net.observations, ours)[-1] == "FIN-WAIT-2→CLOSED"
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT"]


@pytest.mark.scenario(49)
def test_linger_0(net: Net) -> None:
    """RFC 9293, 3.10.5: ABORT, which a program requests with SO_LINGER 0, sends a RST and deletes the connection."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    client.close()
    failure = errno_of(lambda: server.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 RA"]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "27.ES"
    assert transition(theirs, "CLOSED").edge == "26.ES"
    assert entered(ours, "CLOSED") - began == approx_trip(0)
    assert entered(theirs, "CLOSED") - entered(ours, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.ECONNRESET
    assert net.h1.counters()["TCPAbortOnData"] == 1
    assert net.h1.sockets() == []


@pytest.mark.scenario(50)
def test_close_unread(net: Net) -> None:
    """RFC 2525, 2.17: close() with unread data sends a RST, so that the peer learns that its data was lost."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    server.sendall(b"You will want to read this.")
    client.recv(1, socket.MSG_PEEK)
    net.sleep(net.rtt)
    began = seconds(net.clock.now())
    client.close()
    failure = errno_of(lambda: server.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 RA"]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "27.ES"
    assert entered(ours, "CLOSED") - began == approx_trip(0)
    assert entered(theirs, "CLOSED") - entered(ours, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.ECONNRESET
    assert net.h1.counters()["TCPAbortOnClose"] == 1


@pytest.mark.scenario(51)
@pytest.mark.handshake(delay="300ms")  # enough for a slow machine to close one end and send from the other
def test_data_after_close_f1(net: Net) -> None:
    """RFC 9293, 3.6.1: data for a program that has closed is answered with a RST; here it crosses the FIN.

    Linux handles it as if a RST had arrived (tcp_reset() called by tcp_rcv_state_process(), net/ipv4/tcp_input.c),
    so the tracepoint tcp_receive_reset reports a RST that no segment carried.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.close()
    server.sendall(b"You will want to read this.")
    net.wait_until_gone(server)
    failure = errno_of(lambda: server.send(b"And this?"))
    net.settle()

    ours, theirs = net.history(client), net.history(server)
    segments = exchange(net.record(), after=began)
    assert sorted(segments[:2]) == ["h1 FA", "h2 PA"]
    # In addition to the RST for the data there is one for the ACK of the FIN, if the server sends that ACK before it
    # receives the first RST. It delays the ACK if its data answered a very recent segment (tcp_event_data_sent()).
    assert segments[2:].count("h1 R") == 1 + segments[2:].count("h2 A")
    assert {*segments[2:]} <= {"h1 R", "h2 A"}
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "38.F1"
    assert seconds(ours.time_in("FIN-WAIT-1")) == approx_trip(net.one_way)
    assert [segment for segment in net.record().segments if "R" in segment.flags and segment.receiver == "h1"] == []
    assert len(tracepoint_events(net.observations, "tcp_receive_reset", of=ours)) == 1
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert entered(theirs, "CLOSED") - entered(ours, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.EPIPE
    assert net.h1.counters()["TCPAbortOnData"] == 1


@pytest.mark.scenario(52)
def test_data_after_close_f2(net: Net) -> None:
    """RFC 9293, 3.6.1: data for an orphan in FIN-WAIT-2 is answered with a RST, and its mini-socket is removed.

    The tracepoint does not report mini-sockets (tcp_timewait_state_process(), tcp_minisocks.c).
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.close()
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    server.sendall(b"You will want to read this.")
    net.wait_until_gone(server)
    failure = errno_of(lambda: server.send(b"And this?"))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 PA", "h1 R"]
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "38.F2"
    assert entered(ours, "CLOSED") - arrived(net, "PA", "h1") == approx_trip(0)
    assert witnesses(ours, "CLOSED") == {"diag", "capture"}
    assert tracepoint_events(net.observations, "tcp_receive_reset", of=ours) == []
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]
    assert entered(theirs, "CLOSED") - entered(ours, "CLOSED") == approx_trip(net.one_way)
    assert failure == errno.EPIPE
    assert sockets_in(net.h1.sockets(), "FIN-WAIT-2") == []
