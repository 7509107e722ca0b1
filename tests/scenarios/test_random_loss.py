"""Handshakes over a network with random loss."""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from functools import partial
from math import comb
from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_trip, endpoints, kernel_version, seconds, sent, syn_schedule
from tcp_internals import COMPUTING, TimeWindow
from tcp_steps import PORT, errno_of

if TYPE_CHECKING:
    from handshake_lab import Endpoint, Net, TransmittedSegment

HANDSHAKES = 200
LOSS = 0.3
#: Each connection has its own port, which distinguishes its SYNs from those of others.
FIRST_PORT = 20_000
#: The probability that the test fails by chance: less than once in a million runs.
RARELY = 1e-6
#: struct linger: on, for 0 seconds.
ABORT = struct.pack("ii", 1, 0)


@pytest.mark.handshake_slow
@pytest.mark.scenario(66)
@pytest.mark.handshake(links=("s1>h2:loss=30%",), delay="50ms", seed=66)
def test_random_loss_handshake(net: Net) -> None:
    """RFC 6298, 2.1 and 5.5: each lost SYN delays the handshake by its retransmission timeout; losses are independent.

    If segments are lost with probability p, k SYNs of a handshake are lost with probability p^k·(1-p), and the
    connection is open after a round trip and the timeouts of k SYNs. Only segments to the server are lost: SYNs, and
    ACKs, whose loss does not affect the client any more. The client aborts each connection at once.
    """
    net.h2.listen(PORT, backlog=HANDSHAKES)
    ports = range(FIRST_PORT, FIRST_PORT + HANDSHAKES)
    failures = Counter(errno_of(partial(handshake, net, port)) for port in ports)

    record = net.record()
    clients = endpoints(record, "h1", "client")
    syns: dict[int, list[TransmittedSegment]] = {port: [] for port in ports}
    for syn in sent(record, "S", sender="h1"):
        syns[syn.src.port].append(syn)
    losses = {port: sum(syn.lost for syn in tries) for port, tries in syns.items()}
    assert len(clients) == HANDSHAKES
    assert failures.keys() <= {None, errno.ETIMEDOUT}

    opened = [client for client in clients if "ESTABLISHED" in client.states]
    assert len(opened) == len(sent(record, "RA", sender="h1")) == failures[None]
    for client in opened:
        assert client.states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSED"]
        assert len(syns[client.local.port]) == losses[client.local.port] + 1
        assert took(client) == connect_time(net, losses[client.local.port])

    counted = Counter(losses.values())
    for k in range(4):
        assert counted[k] in likely(HANDSHAKES, LOSS**k * (1 - LOSS)), f"{k} SYNs lost in {counted[k]} handshakes"
    assert sum(losses.values()) in likely(sum(map(len, syns.values())), LOSS)


def handshake(net: Net, port: int) -> None:
    """Open a connection from its own port, and abort it."""
    with net.h1.socket() as client:
        client.bind((net.h1.ip, port))
        client.connect((net.h2.ip, PORT))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)


def took(client: Endpoint) -> float:
    """How long a client's handshake took, in seconds."""
    return seconds(client.time_in("SYN-SENT"))


def connect_time(net: Net, losses: int) -> TimeWindow:
    """The duration of a handshake with this many lost SYNs, in this kernel's schedule."""
    if not losses:
        return approx_trip(net.rtt)
    window = syn_schedule(kernel_version(net.kernel)).window(losses - 1, hz=net.kernel.hz)
    earliest, latest = seconds(window.earliest) + net.rtt, seconds(window.latest) + net.rtt + COMPUTING
    return TimeWindow(f"a handshake with {losses} SYNs lost", earliest, latest)


def likely(tries: int, chance: float) -> range:
    """The range of a binomial distribution without its least probable values at either end."""
    weights = [comb(tries, hits) * chance**hits * (1 - chance) ** (tries - hits) for hits in range(tries + 1)]
    low = next(hits for hits in range(tries + 1) if sum(weights[: hits + 1]) > RARELY / 2)
    high = next(hits for hits in range(tries, -1, -1) if sum(weights[hits:]) > RARELY / 2)
    return range(low, high + 1)
