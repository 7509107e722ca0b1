"""The same end in every state: by a RST, an abort, SOCK_DESTROY, or because the peer does not answer.

These are edges of the diagram that no scenario of the catalogue takes. Each test is named after the edge that it
takes.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

import pytest
from handshake_lab import (
    State,
    approx_timer,
    approx_trip,
    crafted_segment,
    entered,
    exchange,
    seconds,
    sent,
    transition,
)
from tcp_held import RESET_STATES, hold
from tcp_internals import SHORT, self_transitions
from tcp_steps import arrived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

#: struct linger: on, for 0 seconds.
ABORT = struct.pack("ii", 1, 0)

SS, SR, ES, CW, LA = State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT, State.LAST_ACK
F1, F2, CG = State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING


def edges(number: str, states: Iterable[State]) -> pytest.MarkDecorator:
    """Run a test once in each state, with the edge as its id."""
    return pytest.mark.parametrize("state", [pytest.param(state, id=f"{number}.{SHORT[state]}") for state in states])


@edges("26", (SR, ES, F1, F2, CW, CG, LA))
def test_exact_rst(net: Net, state: State) -> None:
    """RFC 9293, 3.10.7.4: a RST with exactly the next sequence number ends a connection in any synchronized state.

    Also in SYN-RECEIVED after an active OPEN, here a simultaneous open: to CLOSED, not to LISTEN
    (tcp_validate_incoming() and tcp_reset(), net/ipv4/tcp_input.c).
    """
    held = hold(net, state)
    net.inject("RST", to="h1", from_="h2")
    net.wait_until_gone(held)

    ours, record = net.history(held), net.record()
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"26.{SHORT[state]}"
    assert transition(ours, "CLOSED").cause.segment == crafted_segment(record).number
    assert entered(ours, "CLOSED") - arrived(net, "R", "h1") == approx_trip(0)
    assert [segment for segment in exchange(record, after=arrived(net, "R", "h1")) if segment.startswith("h1")] == []


@pytest.mark.parametrize(("kind", "off"), [("RST", 1), ("SYN", 0)], ids=["rst", "syn"])
@edges("26a", (ES, F1, F2, CW, CG, LA))
def test_challenge_ack(net: Net, state: State, kind: str, off: int) -> None:
    """RFC 5961, 3.2 and 4.2: an inexact RST in the window, or a SYN, gets a challenge ACK and changes no state.

    In any synchronized state (tcp_validate_incoming() and tcp_send_challenge_ack(), net/ipv4/tcp_input.c).
    """
    held = hold(net, state)
    began = seconds(net.clock.now())
    net.inject(kind, to="h1", from_="h2", seq=off)
    net.sleep(net.one_way + 0.01)

    ours, record = net.history(held), net.record()
    assert crafted_segment(record).received is not None
    # If the state is held by dropping its FINs, the FIN may be retransmitted at this time.
    assert [segment for segment in exchange(record, after=began) if segment != "h1 FA"] == ["h1 A"]
    assert ours.states[-1] == state
    assert {self_transition.edge for self_transition in self_transitions(record, net.observations)} == {
        f"26a.{SHORT[state]}"
    }
    assert net.h1.counters()["TCPChallengeACK"] == 1


@edges("27", (SR, ES, F1, F2, CW, CG, LA))
def test_abort(net: Net, state: State) -> None:
    """RFC 9293, 3.10.5: ABORT sends a RST from SYN-RECEIVED to CLOSE-WAIT, and none in CLOSING and LAST-ACK.

    Linux does the same (tcp_disconnect() and tcp_need_reset(), net/ipv4/tcp.c): in these two states it sends a RST
    only if the FIN has not been sent yet, although the state indicates it.
    """
    held = hold(net, state)
    began = seconds(net.clock.now())
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    held.close()
    net.sleep(net.one_way)

    ours, record = net.history(held), net.record()
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"27.{SHORT[state]}"
    assert transition(ours, "CLOSED").cause.text == "close()"
    assert entered(ours, "CLOSED") - began == approx_trip(0)
    assert len(sent(record, "RA", sender="h1")) == (state in RESET_STATES)
    assert net.h1.counters()["TCPAbortOnData"] == 1
    assert net.h1.sockets() == []


@edges("42", (SS, SR, ES, F1, F2, CW, CG, LA))
def test_sock_destroy_elsewhere(net: Net, state: State) -> None:
    """SOCK_DESTROY (ss -K) is not part of any RFC: it removes a socket in any state, and sends a RST where ABORT would.

    Source: tcp_abort() and tcp_need_reset(), net/ipv4/tcp.c: no RST in SYN-SENT, CLOSING and LAST-ACK. The program,
    which still holds the socket, gets ECONNABORTED.
    """
    names = {SR: "syn-recv"}
    held = hold(net, state)
    began = seconds(net.clock.now())
    net.h1.run(["ss", "-K", "state", names.get(state, state.lower())])
    left = net.h1.sockets()
    ended = seconds(net.clock.now())
    failure = held.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    net.sleep(net.one_way)

    ours, record = net.history(held), net.record()
    assert [snapshot for snapshot in left if snapshot.cookie == held.cookie] == []
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"42.{SHORT[state]}"
    assert began <= entered(ours, "CLOSED") <= ended
    assert len(sent(record, "RA", sender="h1")) == (state in RESET_STATES)
    assert failure == errno.ECONNABORTED


def give_up_synack(held: RecordedSocket) -> None:
    """tcp_syn_retries: the number of retransmissions of a full socket's SYN-ACK."""
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)


def give_up_fin(held: RecordedSocket) -> None:
    """RFC 5482: the user timeout bounds how long a FIN may stay unacknowledged."""
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)


def give_up_probing(held: RecordedSocket) -> None:
    """RFC 9293, 3.8.4: a connection that waits for the peer, with nothing to send, can only send probes."""
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)


class Way(NamedTuple):
    """How a connection is given up: the option, its timers in seconds if known, the last segments."""

    ask: Callable[[RecordedSocket], None]
    timers: tuple[float, ...]
    last: list[str]


_SYNACK = Way(give_up_synack, (1.0, 2.0), ["SA", "SA"])
_FIN = Way(give_up_fin, (), ["FA", "FA"])
_PROBING = Way(give_up_probing, (1.0, 1.0, 1.0), ["A", "A", "RA"])


@pytest.mark.parametrize(
    ("state", "way"),
    [
        pytest.param(SR, _SYNACK, id="29.SR"),
        pytest.param(F1, _FIN, id="29.F1"),
        pytest.param(F2, _PROBING, id="29.F2"),
        pytest.param(CW, _PROBING, id="29.CW"),
        pytest.param(CG, _FIN, id="29.CG"),
        pytest.param(LA, _FIN, id="29.LA"),
    ],
)
def test_silent_peer(net: Net, state: State, way: Way) -> None:
    """RFC 9293, 3.8.3 and 3.8.4: a connection whose peer does not answer is given up, in any state.

    tcp_write_timeout() sends nothing, tcp_keepalive_timer() sends a RST (net/ipv4/tcp_timer.c); the program gets
    ETIMEDOUT.
    """
    held = hold(net, state)
    net.drop("any", from_="h1")
    way.ask(held)
    net.wait_until_gone(held)

    ours, record = net.history(held), net.record()
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"29.{SHORT[state]}"
    assert transition(ours, "CLOSED").cause.kind == "timer"
    assert [segment.flags for segment in sent(record, sender="h1")][-len(way.last) :] == way.last
    if way.timers:
        begins = State.SYN_SENT if state is SR else state  # the SYN's timer runs on
        assert entered(ours, "CLOSED") - entered(ours, begins) == approx_timer(*way.timers, hz=net.kernel.hz)
    else:
        assert seconds(ours.time_in(state)) > 1.0
    assert held.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
