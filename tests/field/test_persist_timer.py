"""A receiver that does not read: its window closes, and the sender's persist timer probes until an event ends it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import describe, last
from handshake_lab import entered, seconds, transition

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake_slow

#: Seconds, at least and at most, that 15 probes take whose waits double from 0.2 s up to 120 s (tcp_probe_timer()):
#: 924.6 s, and what backing off began with and the timers' own lateness add to it.
PROBED = (924.6, 1400)
#: Seconds.
USER_TIMEOUT = 30


def fill(net: Net, *, user_timeout: int = 0, receive_buffer: int = 1024) -> RecordedSocket:
    """A connection whose server reads nothing, with more sent than it takes: its sender's persist timer runs.

    Args:
        net: The network.
        user_timeout: TCP_USER_TIMEOUT, in seconds.
        receive_buffer: SO_RCVBUF of the server, in bytes.
    """
    listener = net.h2.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.bind((net.h2.ip, 80))
    listener.listen()
    client = net.h1.connect(listener)
    listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout * 1000)
    client.setblocking(False)
    try:
        for _ in range(16):
            client.send(bytes(4096))
    except BlockingIOError:
        pass
    client.settimeout(4000)
    net.sleep(2)
    timers = [shown.timer for shown in net.h1.sockets()]
    if timers != ["persist"]:
        pytest.fail(f"the persist timer was to run, not {timers}")
    return client


def test_lost_probes_end_the_connection(net: Net) -> None:
    """tcp(7), tcp_retries2: after 15 probes without an answer the connection ends."""
    client = fill(net)
    net.drop("any")
    began = seconds(net.clock.now())
    with pytest.raises(TimeoutError):
        client.recv(1)
    shortest, longest = PROBED

    assert transition(net.history(client), "CLOSED").cause.text == "the persist timer"
    assert shortest <= entered(net.history(client), "CLOSED") - began <= longest


def test_answered_probes_end_nothing(net: Net) -> None:
    """RFC 9293, 3.8.6.1: a window may stay closed indefinitely, as long as probes are acknowledged."""
    client = fill(net)
    net.sleep(3600)

    assert net.history(client).states[-1] == "ESTABLISHED"


def test_user_timeout_ends_it_though_probes_are_answered(net: Net) -> None:
    """tcp(7): TCP_USER_TIMEOUT ends a connection whose data stay untransmitted that long because of a zero window."""
    client = fill(net, user_timeout=USER_TIMEOUT)
    with pytest.raises(TimeoutError):
        client.recv(1)

    # The limit is checked when a probe is due (tcp_probe_timer(), tcp_clamp_probe0_to_user_timeout()).
    assert USER_TIMEOUT <= entered(net.history(client), "CLOSED") <= USER_TIMEOUT + 10


def test_the_cause_is_the_persist_timer(net: Net) -> None:
    """The same end: it is tcp_probe_timer() that ends it."""
    client = fill(net, user_timeout=USER_TIMEOUT)
    with pytest.raises(TimeoutError):
        client.recv(1)
    end = net.history(client)

    assert (*last(end), end.transitions[-1].cause.text) == ("29.ES", "timer", "the persist timer"), describe(
        net.record()
    )


@pytest.mark.handshake(delay="5ms", sysctls={"h1:net.ipv4.tcp_retries2": 3})
def test_probes_of_a_peer_that_died(net: Net) -> None:
    """A window that closed, and a peer that answers no more: TCPAbortOnTimeout counts it, and a timer is the cause."""
    client = fill(net)
    net.drop("any", from_="h2")
    net.sleep(300)
    end = net.history(client)

    assert net.h1.counters()["TCPAbortOnTimeout"] == 1
    assert end.states[-2:] == ["ESTABLISHED", "CLOSED"]
    assert last(end) == ("29.ES", "timer"), describe(net.record())
