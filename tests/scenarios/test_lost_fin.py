"""Closing over a network that drops FINs and the last ACK."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_timer,
    approx_trip,
    entered,
    exchange,
    seconds,
    sent_at,
    sockets_in,
    transition,
    witnesses,
)
from tcp_internals import ORPHAN_RETRIES, shortest_timeout
from tcp_steps import open_connection, read_to_end, retransmission_timers

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

TIME_WAIT = 60.0
FIN_TIMEOUT = 60.0


@pytest.mark.handshake_slow
@pytest.mark.scenario(40)
def test_fin_lost_once(net: Net) -> None:
    """RFC 8985, 7: a lost FIN is retransmitted as a loss probe after 2·SRTT + 200 ms, or at the RTO if that is sooner.

    Source: tcp_schedule_loss_probe(), net/ipv4/tcp_output.c. After one measured round trip the RTO is SRTT + 200 ms or
    3·SRTT, whichever is more, and at 100 ms it is the sooner of the two.
    """
    client, server, _ = open_connection(net)
    probe, _ = retransmission_timers(net, "h1")
    began = seconds(net.clock.now())
    net.drop("FIN", nth=1, from_="h1")
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.sleep(net.rtt)
    server.close()
    read_to_end(client)
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h1 FA", "h2 A", "h2 FA", "h1 A"]
    first, second = sent_at(net.record(), "FA", sender="h1")
    assert second - first == approx_timer(probe)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert seconds(ours.time_in("FIN-WAIT-1")) == approx_timer(probe, plus=net.rtt)
    assert (net.h1.counters()["TCPLossProbes"], net.h1.counters()["TCPTimeouts"]) == (1, 0)


@pytest.mark.handshake_slow
@pytest.mark.scenario(41)
def test_fin_blackhole_orphan(net: Net) -> None:
    """tcp_orphan_retries: an orphan's FIN without an answer is given up, without a RST, after at least 102.2 s.

    Its default, 0, stands for 8 (tcp_orphan_retries(), net/ipv4/tcp_timer.c), and 8 for the time that 8 doublings of
    the least RTO take, counted from the first retransmission by the timer: 10 FINs in all at a round trip of 100 ms.
    """
    client, server, _ = open_connection(net)
    probe, timeout = retransmission_timers(net, "h1")
    began = seconds(net.clock.now())
    net.drop("FIN", from_="h1")
    client.close()
    net.wait_until_gone(client)

    ours, theirs = net.history(client), net.history(server)
    fins = sent_at(net.record(), "FA", sender="h1")
    assert exchange(net.record(), after=began) == ["h1 FA"] * len(fins)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "29.F1"
    assert theirs.states[3:] == ["ESTABLISHED"]
    ended = entered(ours, "CLOSED")
    waits = [later - earlier for earlier, later in pairwise([*fins, ended])]
    assert waits == [approx_timer(wait) for wait in (probe, *(timeout * 2**n for n in range(len(waits) - 1)))]
    until_abort = seconds(shortest_timeout(ORPHAN_RETRIES))
    assert fins[-1] - fins[2] < until_abort <= ended - fins[2]
    assert net.h1.counters()["TCPAbortOnTimeout"] == 1


@pytest.mark.handshake_slow
@pytest.mark.scenario(42)
def test_last_ack_blackhole_orphan(net: Net) -> None:
    """tcp_orphan_retries: LAST-ACK ends in the same way, long after the other side has left FIN-WAIT-2."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    client.close()
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    probe, timeout = retransmission_timers(net, "h2")
    began = seconds(net.clock.now())
    net.drop("FIN", from_="h2")
    server.close()
    net.wait_until_gone(server)
    net.wait_until_gone(client)

    ours, theirs = net.history(client), net.history(server)
    fins = sent_at(net.record(), "FA", sender="h2")
    assert exchange(net.record(), after=began) == ["h2 FA"] * len(fins)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
    assert seconds(ours.time_in("FIN-WAIT-2")) == approx_timer(FIN_TIMEOUT)
    assert witnesses(ours, "CLOSED") == {"diag"}
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "29.LA"
    ended = entered(theirs, "CLOSED")
    waits = [later - earlier for earlier, later in pairwise([*fins, ended])]
    assert waits == [approx_timer(wait) for wait in (probe, *(timeout * 2**n for n in range(len(waits) - 1)))]
    until_abort = seconds(shortest_timeout(ORPHAN_RETRIES))
    assert fins[-1] - fins[2] < until_abort <= ended - fins[2]


@pytest.mark.handshake_slow
@pytest.mark.scenario(43)
def test_final_ack_lost(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a retransmitted FIN is acknowledged again, and restarts TIME-WAIT.

    This is one purpose of TIME-WAIT (tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c).
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    net.wait_for_state(client, "FIN-WAIT-2")
    probe, _ = retransmission_timers(net, "h2")
    net.drop("ACK", nth=1, from_="h1")
    server.close()
    read_to_end(client)
    net.wait_until_closed()

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 FA", "h2 A", "h2 FA", "h1 A", "h2 FA", "h1 A"]
    first, second = sent_at(net.record(), "FA", sender="h2")
    assert second - first == approx_timer(probe)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert seconds(theirs.time_in("LAST-ACK")) == approx_trip(second - first + net.rtt)
    assert seconds(ours.time_in("TIME-WAIT")) == approx_timer(TIME_WAIT, plus=second - first)
    assert not sockets_in(net.h1.sockets(), "TIME-WAIT")
