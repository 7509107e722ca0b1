"""Both sides open at the same time: SYN-RECEIVED as a full socket, which a program holds and may close."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_timer, approx_trip, entered, exchange, seconds, sent, sent_flags, witnesses
from tcp_internals import Step

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

#: One-way delay: enough time for a slow machine to act at both ends.
pytestmark = pytest.mark.handshake(delay="300ms")

PORTS = (4001, 4002)


def open_both(net: Net) -> tuple[RecordedSocket, RecordedSocket]:
    """Connect two hosts to each other before either has received a segment of the other."""
    one = net.h1.begin_connect(("h2", PORTS[1]), port=PORTS[0])
    other = net.h2.begin_connect(("h1", PORTS[0]), port=PORTS[1])
    return one, other


def stay_in_syn_received(net: Net) -> tuple[RecordedSocket, RecordedSocket]:
    """A simultaneous open in which h2's SYN-ACK would have arrived at h1, had it not been delayed.

    h1's SYN-RECEIVED then ends with h2's ACK of h1's own SYN-ACK, one trip later, and half a trip before the SYN-ACK.
    """
    net.delay("SYN-ACK", "450ms", from_="h2")
    one, other = open_both(net)
    net.wait_for_state(one, "SYN-RECEIVED")
    net.sleep(0.75 * net.rtt)
    return one, other


def called_at(net: Net, call: str) -> float:
    """The time at which a program made its only such call, in seconds of the run's clock."""
    (step,) = [
        seen for seen in net.observations if isinstance(seen, Step) and seen.call == call and seen.phase == "begins"
    ]
    return seconds(step.t)


@pytest.mark.scenario(26)
def test_simultaneous_open(net: Net) -> None:
    """RFC 9293, figure 7: SYNs that cross take both sides to SYN-RECEIVED, and their SYN-ACKs to ESTABLISHED.

    Linux also acknowledges the peer's SYN-ACK. Before 6.12 and the stable releases of its time it did not accept a
    SYN-ACK as an ACK of its SYN here (tcp_validate_incoming(), net/ipv4/tcp_input.c): it answered with a challenge
    ACK, which then completed the handshake.
    """
    one, other = open_both(net)
    net.wait_for_state(one, "ESTABLISHED")
    net.wait_for_state(other, "ESTABLISHED")
    net.settle()

    first, second = net.history(one), net.history(other)
    for end in (first, second):
        assert end.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
        assert [step.edge for step in end.transitions] == ["2", "6", "10"]
        assert witnesses(end, "SYN-RECEIVED") >= {"tracepoint", "diag", "capture"}
    # Each by the other's SYN; in real time one of them was sent slightly later.
    assert entered(first, "SYN-RECEIVED") - entered(second, "SYN-SENT") == approx_trip(net.rtt - net.one_way)
    assert entered(second, "SYN-RECEIVED") - entered(first, "SYN-SENT") == approx_trip(net.one_way)
    assert entered(first, "ESTABLISHED") - entered(first, "SYN-SENT") == approx_trip(net.rtt)
    assert entered(second, "ESTABLISHED") - entered(second, "SYN-SENT") == approx_trip(net.rtt)
    assert sent_flags(net.record(), sender="h1") == sent_flags(net.record(), sender="h2") == ["S", "SA", "A"]
    assert (net.h1.counters()["ActiveOpens"], net.h2.counters()["ActiveOpens"]) == (1, 1)
    assert (net.h1.counters()["PassiveOpens"], net.h2.counters()["PassiveOpens"]) == (0, 0)


@pytest.mark.handshake_slow
@pytest.mark.scenario(27)
def test_self_connect(net: Net) -> None:
    """RFC 9293, 3.10.3 and MUST-10: a socket that connects to its own address opens, and closes, simultaneously.

    No listener is needed. Everything happens within one connect() and one close(), in microseconds: a poll comes
    too late for SYN-RECEIVED, FIN-WAIT-1 and CLOSING, which only the tracepoint reports.
    """
    itself = net.h1.begin_connect(("h1", PORTS[0]), port=PORTS[0])
    net.wait_for_state(itself, "ESTABLISHED")
    itself.sendall(b"echo")
    assert itself.recv(4) == b"echo"
    itself.close()
    net.h1.wait_for("TIME-WAIT")
    net.wait_until_closed()

    history = net.history(itself)
    opening = ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
    assert history.states == [*opening, "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    assert [step.edge for step in history.transitions] == ["2", "6", "10", "12", "15", "18", "20"]
    assert history.local == history.remote
    assert [witnesses(history, state) for state in ("SYN-RECEIVED", "CLOSING")] == [{"tracepoint", "capture"}] * 2
    assert witnesses(history, "ESTABLISHED") == {"tracepoint", "diag", "capture"}
    assert witnesses(history, "CLOSED") == {"diag"}
    assert entered(history, "ESTABLISHED") - entered(history, "SYN-SENT") == approx_trip(0)
    assert entered(history, "TIME-WAIT") - entered(history, "FIN-WAIT-1") == approx_trip(0)
    assert seconds(history.time_in("TIME-WAIT")) == approx_timer(60, hz=net.kernel.hz)
    assert sent_flags(net.record()) == ["S", "SA", "A", "PA", "A", "FA", "A"]
    assert {(each.sender, each.receiver) for each in net.record().segments} == {("h1", "h1")}  # nothing left the host
    assert (net.h1.counters()["ActiveOpens"], net.h1.counters()["PassiveOpens"]) == (1, 0)


@pytest.mark.scenario(28)
def test_close_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.10.4: CLOSE in SYN-RECEIVED sends a FIN and enters FIN-WAIT-1, without ever being ESTABLISHED.

    The peer's SYN-ACK arrives after that; it is a duplicate and is answered with an ACK.
    """
    one, other = stay_in_syn_received(net)
    one.close()
    net.wait_for_state(other, "CLOSE-WAIT")
    net.h1.wait_for("FIN-WAIT-2")
    net.sleep(0.3 + net.rtt)

    closed, peer = net.history(one), net.history(other)
    (fin,) = sent(net.record(), "FA")
    (late,) = sent(net.record(), "SA", sender="h2")
    assert closed.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert [step.edge for step in closed.transitions] == ["2", "6", "11", "14"]
    assert witnesses(closed, "FIN-WAIT-1") >= {"tracepoint", "diag", "application"}
    assert peer.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT"]
    assert seconds(closed.time_in("SYN-RECEIVED")) == approx_trip(0.75 * net.rtt)
    assert (fin.sender, fin.rel_seq, fin.rel_ack) == ("h1", 1, 1)
    assert fin.sent is not None
    assert late.received is not None
    assert fin.sent < late.received
    assert sent_flags(net.record(), sender="h1") == ["S", "SA", "FA", "A"]
    assert sent_flags(net.record(), sender="h2") == ["S", "SA", "A", "A"]


@pytest.mark.scenario(29)
def test_shutdown_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.10.4, permits a FIN in SYN-RECEIVED; for shutdown() Linux delays it.

    Since 6.9 and the stable releases of its time tcp_shutdown() does not leave SYN-RECEIVED; the FIN is sent as soon
    as the connection is ESTABLISHED (tcp_rcv_state_process(), net/ipv4/tcp_input.c). Before, it was sent at once.
    """
    one, other = stay_in_syn_received(net)
    one.shutdown(socket.SHUT_WR)
    net.wait_for_state(other, "CLOSE-WAIT")
    net.wait_for_state(one, "FIN-WAIT-2")

    closed, peer = net.history(one), net.history(other)
    assert closed.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert [step.edge for step in closed.transitions] == ["2", "6", "10", "12", "14"]
    assert peer.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT"]
    assert seconds(closed.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)
    assert entered(closed, "SYN-RECEIVED") < called_at(net, "shutdown(SHUT_WR)") < entered(closed, "ESTABLISHED")
    assert seconds(closed.time_in("ESTABLISHED")) == approx_trip(0)
    assert exchange(net.record(), after=called_at(net, "shutdown(SHUT_WR)"))[0] == "h1 FA"
