"""C27: UDP has no handshake."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from claim_measures import ms
from handshake_lab import approx_trip, seconds

if TYPE_CHECKING:
    from documented.conftest import Claim
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

_ETH_P_ALL = 3


@pytest.mark.claim("C27")
def test_c27_udp_has_no_handshake(net: Net, claim: Claim) -> None:
    """RFC 768: the first datagram carries data, and nothing else is sent. Linux nevertheless sets a UDP socket to
    ESTABLISHED at connect() (__ip4_datagram_connect()): the socket stores an address, and the peer is not notified.
    """
    taps = [_tap(net, name) for name in ("h1", "h2")]
    server, client = net.h2.udp_socket(), net.h1.udp_socket()
    server.bind((net.h2.ip, 53))
    began = net.clock.now()
    client.sendto(b"request", (net.h2.ip, 53))
    request, address = server.recvfrom(100)
    arrived = seconds(net.clock.now() - began)
    server.sendto(b"answer", address)
    client.recvfrom(100)
    before = _states(net)
    client.connect((net.h2.ip, 53))
    after = _states(net)
    client.close()
    net.sleep(net.rtt)
    closed = _states(net)
    datagrams = [_datagrams(tap) for tap in taps]
    endpoints = net.record().endpoints
    began = net.clock.now()
    listener = net.h2.listen(80)
    net.h1.connect(listener).sendall(b"request")
    listener.accept()[0].recv(100)
    by_tcp = seconds(net.clock.now() - began)

    assert request == b"request"
    assert arrived == approx_trip(net.one_way)
    assert datagrams == [[b"request", b"answer"], [b"request", b"answer"]]
    assert (before, after, closed) == (["UNCONN"], ["ESTAB"], [])
    assert endpoints == ()
    assert by_tcp == approx_trip(3 * net.one_way)
    claim.holds_with_a_nuance(udp=ms(arrived), tcp=ms(by_tcp), count=len(datagrams[0]))


def _states(net: Net) -> list[str]:
    """The state of the client's UDP sockets in ``ss``."""
    return [line.split()[0] for line in net.h1.run(["ss", "-Huan"]).stdout.splitlines()]


def _tap(net: Net, name: str) -> socket.socket:
    """A socket that receives everything that a host sends and receives."""
    return net.network[name].socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))


def _datagrams(tap: socket.socket) -> list[bytes]:
    """The payload of every UDP datagram; any other IPv4 packet fails the test."""
    found = []
    while select.select([tap], [], [], 0)[0]:
        frame = tap.recv(2000)
        if frame[12:14] == b"\x08\x00":
            assert frame[23] == socket.IPPROTO_UDP, "a packet other than UDP was sent"
            found.append(frame[42 : 14 + int.from_bytes(frame[16:18])])
    tap.close()
    return found
