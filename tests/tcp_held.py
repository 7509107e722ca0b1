"""A connection that is brought into a state and stays there, while its program holds the socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from handshake_lab import State
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Net, RecordedSocket

#: Both ends of a connection that two hosts open simultaneously.
PORTS = (4001, 4002)

#: The states in which an abort by a program or an administrator sends a RST: tcp_need_reset(), net/ipv4/tcp.c.
RESET_STATES = frozenset({State.SYN_RECEIVED, State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT})


def hold(net: Net, state: State) -> RecordedSocket:
    """A socket of h1 that is in a state, and stays there while nothing else happens.

    The segments that would end the state are dropped: h1's FIN, or h2's answers to h1's SYN.
    """
    made = _WAYS[state](net)
    net.wait_for_state(made, state)
    return made


def _syn_sent(net: Net) -> RecordedSocket:
    net.drop("SYN", from_="h1")
    return net.h1.begin_connect(("h2", PORT))


def _syn_received(net: Net) -> RecordedSocket:
    """By simultaneous open: a full socket. The SYNs cross; all later segments of h2 are dropped."""
    net.drop("SYN-ACK", from_="h2")
    net.drop("ACK", from_="h2", optional=True)  # a test may end before there is one
    one = net.h1.begin_connect(("h2", PORTS[1]), port=PORTS[0])
    net.h2.begin_connect(("h1", PORTS[0]), port=PORTS[1])
    return one


def _established(net: Net) -> RecordedSocket:
    client, server, _ = open_connection(net)
    net.wait_for_state(server, State.ESTABLISHED)
    return client


def _fin_wait_1(net: Net) -> RecordedSocket:
    client = _established(net)
    net.drop("FIN", from_="h1")
    client.shutdown(socket.SHUT_WR)
    return client


def _fin_wait_2(net: Net) -> RecordedSocket:
    client = _established(net)
    client.shutdown(socket.SHUT_WR)
    return client


def _close_wait(net: Net) -> RecordedSocket:
    """CLOSE-WAIT, after the peer has received the ACK of its FIN, which Linux may delay."""
    client, server, _ = open_connection(net)
    server.shutdown(socket.SHUT_WR)
    net.wait_for_state(server, State.FIN_WAIT_2)
    return client


def _closing(net: Net) -> RecordedSocket:
    """Both close, and h1's FIN is lost: h2's FIN acknowledges everything except h1's FIN."""
    client, server, _ = open_connection(net)
    net.drop("FIN", from_="h1")
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    return client


def _last_ack(net: Net) -> RecordedSocket:
    client = _close_wait(net)
    net.drop("FIN", from_="h1")
    client.shutdown(socket.SHUT_WR)
    return client


_WAYS: dict[State, Callable[[Net], RecordedSocket]] = {
    State.SYN_SENT: _syn_sent,
    State.SYN_RECEIVED: _syn_received,
    State.ESTABLISHED: _established,
    State.FIN_WAIT_1: _fin_wait_1,
    State.FIN_WAIT_2: _fin_wait_2,
    State.CLOSE_WAIT: _close_wait,
    State.CLOSING: _closing,
    State.LAST_ACK: _last_ack,
}
