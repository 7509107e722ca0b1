"""Sockets that are removed externally: by an administrator, or by a reboot."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_trip,
    endpoint,
    entered,
    exchange,
    seconds,
    sockets_in,
    tracepoint_steps,
    transition,
    witnesses,
)
from tcp_steps import PORT, errno_of, open_connection, read_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

#: From include/uapi/linux/tcp.h; Python has no name for it.
TCP_REPAIR = 19


def established(net: Net) -> None:
    """A synchronized connection is reset, and its program gets ECONNABORTED (tcp_abort(), net/ipv4/tcp.c)."""
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    net.h1.run(["ss", "-K", "state", "established", "dport", "=", f":{PORT}"])
    ended = seconds(net.clock.now())
    ours_failed, theirs_failed = errno_of(lambda: client.recv(1)), errno_of(lambda: server.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert exchange(net.record(), after=began) == ["h1 RA"]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "42.ES"
    assert began <= entered(ours, "CLOSED") <= ended
    assert entered(theirs, "CLOSED") - entered(ours, "CLOSED") == approx_trip(net.one_way)
    assert (ours_failed, theirs_failed) == (errno.ECONNABORTED, errno.ECONNRESET)


def syn_received(net: Net) -> None:
    """A request is dropped without a segment or a tracepoint event; the listener stays."""
    listener = net.h2.listen(PORT)
    lost = net.drop("ACK", from_="h1")
    client = net.h1.connect(listener)
    lost.wait()
    began = seconds(net.clock.now())
    net.h2.run(["ss", "-K", "state", "syn-recv", "sport", "=", f":{PORT}"])
    left = net.h2.sockets()
    ended = seconds(net.clock.now())

    theirs = endpoint(net.record(), "h2", "server")
    assert [snapshot.state for snapshot in left] == ["LISTEN"]
    syn, *uncaptured = exchange(net.record())
    assert syn == "h1 S"
    assert uncaptured == ["h2 SA", "h1 A"] * max(1, len(uncaptured) // 2)  # retransmitted if ss is slow to start
    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert theirs.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert transition(theirs, "CLOSED").edge == "42.SR"
    assert witnesses(theirs, "CLOSED") == {"diag", "application"}
    assert began <= entered(theirs, "CLOSED") <= ended


def time_wait(net: Net) -> None:
    """TIME-WAIT is removed without a segment or a tracepoint event."""
    client, server, _ = open_connection(net)
    closed = seconds(net.clock.now())
    client.close()
    read_to_end(server)
    net.sleep(net.rtt)
    server.close()
    net.wait_until_gone(server)
    began = seconds(net.clock.now())
    waiting = sockets_in(net.h1.sockets(), "TIME-WAIT")
    net.h1.run(["ss", "-K", "state", "time-wait", "dport", "=", f":{PORT}"])
    left = net.h1.sockets()
    ended = seconds(net.clock.now())

    ours = net.history(client)
    assert (len(waiting), left) == (1, [])
    assert exchange(net.record(), after=closed) == ["h1 FA", "h2 A", "h2 FA", "h1 A"]
    assert ours.states[-2:] == ["TIME-WAIT", "CLOSED"]
    assert net.history(server).states[3:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "42.TW"
    assert witnesses(ours, "CLOSED") == {"diag", "application"}
    assert tracepoint_steps(net.observations, ours)[-1] == "FIN-WAIT-2→CLOSED"
    assert began <= entered(ours, "CLOSED") <= ended


def listen(net: Net) -> None:
    """A listener is closed; tcp_abort(), net/ipv4/tcp.c, sets CLOSED, and tcp_done() sets it again.

    The tracepoint reports both, on 6.1 and on 7.3.
    """
    listener = net.h2.listen(PORT)
    net.wait_for_state(listener, "LISTEN")
    began = seconds(net.clock.now())
    net.h2.run(["ss", "-K", "state", "listening", "sport", "=", f":{PORT}"])
    left = net.h2.sockets()
    ended = seconds(net.clock.now())
    refused = errno_of(lambda: net.h1.connect(("h2", PORT)))

    ours = net.history(listener)
    assert left == []
    assert ours.states == ["CLOSED", "LISTEN", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "42.LI"
    assert began <= entered(ours, "CLOSED") <= ended
    assert tracepoint_steps(net.observations, ours) == ["CLOSED→LISTEN", "LISTEN→CLOSED", "CLOSED→CLOSED"]
    assert exchange(net.record(), after=began) == ["h1 S", "h2 RA"]
    assert seconds(endpoint(net.record(), "h1").time_in("SYN-SENT")) == approx_trip(net.rtt)
    assert refused == errno.ECONNREFUSED


@pytest.mark.scenario(64)
@pytest.mark.parametrize("state", [established, syn_received, time_wait, listen])
def test_sock_destroy(net: Net, state: Callable[[Net], None]) -> None:
    """SOCK_DESTROY (ss -K) is not part of any RFC; its effect depends on the state: see the function of that name."""
    state(net)


@pytest.mark.scenario(65)
def test_half_open_reboot(net: Net) -> None:
    """RFC 9293, 3.5.1, figures 9 and 10: a segment for a connection that the peer no longer has is answered with a RST.

    The server loses its connection as in a crash: closing a socket in repair mode sends nothing (tcp_disconnect(),
    net/ipv4/tcp.c).
    """
    client, server, listener = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    began = seconds(net.clock.now())
    server.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    server.close()
    listener.close()
    net.sleep(net.rtt)
    untold, sent_at = exchange(net.record(), after=began), seconds(net.clock.now())
    client.sendall(b"Where were we?")
    failure = errno_of(lambda: client.recv(1))

    ours, theirs = net.history(client), net.history(server)
    assert untold == []
    assert exchange(net.record(), after=began) == ["h1 PA", "h2 R"]
    assert theirs.states[3:] == ["ESTABLISHED", "CLOSED"]
    assert ours.states[2:] == ["ESTABLISHED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "26.ES"
    assert entered(ours, "CLOSED") - sent_at == approx_trip(net.rtt)
    assert failure == errno.ECONNRESET
    assert net.h2.sockets() == []
