"""Peers that do not answer: how long the connection is kept."""

from __future__ import annotations

import errno
import socket
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_timer, entered, exchange, keepalive_schedule, seconds, sent_at, transition
from tcp_internals import shortest_timeout
from tcp_steps import errno_of, open_connection, retransmission_timers

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")


@pytest.mark.scenario(61)
def test_keepalive_dead_peer(net: Net) -> None:
    """RFC 9293, 3.8.4: a silent peer is probed after TCP_KEEPIDLE, every TCP_KEEPINTVL, and given up after TCP_KEEPCNT.

    Linux then sends a RST (tcp_keepalive_timer(), net/ipv4/tcp_timer.c).
    """
    client, server, _ = open_connection(net)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    net.drop("any", from_="h1")
    # The timer is started last, because a slow machine takes more than a second to activate the fault.
    began = seconds(net.clock.now())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 A", "h1 A", "h1 A", "h1 RA"]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "29.ES"
    schedule = keepalive_schedule(idle=1_000_000_000, interval=1_000_000_000, count=3)
    documented = [seconds(later - earlier) for earlier, later in pairwise((0, *schedule.again, schedule.fails))]
    times = [began, *sent_at(net.record(), "A", sender="h1")[1:], entered(ours, "CLOSED")]
    assert [later - earlier for earlier, later in pairwise(times)] == [approx_timer(wait) for wait in documented]
    assert failure == errno.ETIMEDOUT
    assert net.h1.counters()["TCPKeepAlive"] == 3
    assert theirs.states[3:] == ["ESTABLISHED"]


@pytest.mark.scenario(62)
def test_user_timeout(net: Net) -> None:
    """RFC 5482: TCP_USER_TIMEOUT bounds how long data may stay unacknowledged.

    Linux counts it from the first retransmission by the timer, not from the transmission (retransmits_timed_out(),
    net/ipv4/tcp_timer.c), so that it ends an RTO and a loss probe later.
    """
    client, server, _ = open_connection(net)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)
    probe, timeout = retransmission_timers(net, "h1")
    began = seconds(net.clock.now())
    net.drop("DATA", from_="h1")
    client.sendall(b"Hello?")
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), net.history(server)
    segments = sent_at(net.record(), "PA", sender="h1")
    assert exchange(net.record(), after=began) == ["h1 PA"] * len(segments)
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "29.ES"
    waits = [later - earlier for earlier, later in pairwise(segments)]
    assert waits == [approx_timer(wait) for wait in (probe, *(timeout * 2**n for n in range(len(waits) - 1)))]
    left = 3.0 - (segments[-1] - segments[2])
    assert entered(ours, "CLOSED") - segments[-1] == approx_timer(left)
    assert left < timeout * 2 ** (len(waits) - 1)
    assert failure == errno.ETIMEDOUT
    assert net.h1.counters()["TCPAbortOnTimeout"] == 1
    assert theirs.states[3:] == ["ESTABLISHED"]


@pytest.mark.handshake_slow
@pytest.mark.scenario(63)
@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_retries2": 3})
def test_retries2(net: Net) -> None:
    """tcp_retries2: unacknowledged data is given up after the time that this number of doublings of 200 ms takes.

    It is a time, not a count (tcp_model_timeout(), net/ipv4/tcp_timer.c): 3.0 s for 3, from the first retransmission by
    the timer. RFC 9293, 3.8.3 requires at least 100 s (R2), which the default of 15 exceeds.
    """
    client, server, _ = open_connection(net)
    probe, timeout = retransmission_timers(net, "h1")
    began = seconds(net.clock.now())
    net.drop("DATA", from_="h1")
    client.sendall(b"Hello?")
    failure = errno_of(lambda: client.recv(1))
    net.sleep(600)

    ours, theirs = net.history(client), net.history(server)
    segments = sent_at(net.record(), "PA", sender="h1")
    ended = entered(ours, "CLOSED")
    assert exchange(net.record(), after=began) == ["h1 PA"] * len(segments)
    waits = [later - earlier for earlier, later in pairwise([*segments, ended])]
    assert waits == [approx_timer(wait) for wait in (probe, *(timeout * 2**n for n in range(len(waits) - 1)))]
    until_abort = seconds(shortest_timeout(3))
    assert segments[-1] - segments[2] < until_abort <= ended - segments[2]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "29.ES"
    assert failure == errno.ETIMEDOUT
    assert net.h1.counters()["TCPAbortOnTimeout"] == 1
    assert theirs.states[3:] == ["ESTABLISHED"]
    assert seconds(theirs.time_in("ESTABLISHED")) >= 600
