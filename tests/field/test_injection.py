"""Injected segments: data, windows, options, any flags, absolute numbers, ICMP; without a connection; to routers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab import FaultImpossible, UsageError, seconds
from handshake_lab.tcp.segment import parse_options

if TYPE_CHECKING:
    from handshake_lab import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket


def connected(net: Net) -> tuple[RecordedSocket, RecordedSocket]:
    """A client and the server's socket, after the handshake."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    return client, listener.accept()[0]


def answers(net: Net, since: int) -> list[tuple[str, str, int, int]]:
    """Sender, flags and relative numbers of the segments that hosts have sent after the first few."""
    segments = [each for each in net.record().segments if each.number > since and each.sent is not None]
    return [(each.sender, each.flags, each.rel_seq, each.rel_ack) for each in segments]


def test_data_is_received(net: Net) -> None:
    """An injected payload is the program's next data."""
    _, server = connected(net)
    net.inject("PSH-ACK", to="h2", payload=b"made up")

    assert server.recv(100) == b"made up"
    net.sleep(0.1)  # for the delayed acknowledgment
    assert answers(net, 4)[0] == ("h2", "A", 1, 8)


def test_data_outside_of_the_window(net: Net) -> None:
    """It is not delivered; the receiver sends an ACK with the number that it expects (RFC 9293, section 3.10.7.4)."""
    _, server = connected(net)
    server.setblocking(False)
    net.inject("PSH-ACK", to="h2", seq=1_000_000, payload="far away")
    net.sleep(1)

    with pytest.raises(BlockingIOError):
        server.recv(100)
    assert answers(net, 4) == [("h2", "A", 1, 1)]


def test_a_window_of_zero(net: Net) -> None:
    """The sender obeys it, until the other end answers its probe with the window that it has."""
    client, _ = connected(net)
    net.inject("ACK", to="h1", window=0)
    client.sendall(b"abc")
    net.sleep(1)

    sent = [each for each in net.record().segments if each.sender == "h1" and each.number > 4]
    assert [each.length for each in sent[:2]] == [0, 3]
    assert seconds(sent[0].sent) >= 0.2


def test_options(net: Net) -> None:
    """They are in the header as they are given, and are obeyed: the server sends no more than the MSS."""
    net.h2.listen(80)
    net.inject("SYN", to="h2", from_="h1", port=80, sport=40000, options="mss:600,sackok,ts:7:0,nop,ws:3")
    net.sleep(0.5)
    answer = [each for each in net.record().segments if each.flags == "SA"]
    raw = [seen for seen in net.observations if getattr(seen, "flags", "") == "SA"]
    options = parse_options(raw[0].frame[54:])

    assert [(each.sender, each.dst.port) for each in answer] == [("h2", 40000)]
    assert options.timestamps is not None
    assert options.timestamps[1] == 7
    assert options.sack_permitted


def test_a_connection_that_nobody_has_opened(net: Net) -> None:
    """A whole handshake without a socket: SYN, then the ACK; h1 knows nothing of it and is kept from answering."""
    net.drop("RST", from_="h1", optional=True)
    listener = net.h2.listen(80)
    where: dict[str, Any] = {"to": "h2", "from_": "h1", "port": 80, "sport": 40001}
    net.inject("SYN", seq=1000, absolute=True, **where)
    net.sleep(0.1)
    net.inject("ACK", **where)
    server, address = listener.accept()
    net.inject("PSH-ACK", payload="hello", **where)

    assert address == (net.h1.ip, 40001)
    assert server.recv(10) == b"hello"


@pytest.mark.parametrize("kind", ["none", "SYN-FIN", "FIN-PSH-URG", "RST-ACK", "SYN-ACK", "ACK"])
def test_any_flags_to_a_closed_port(net: Net, kind: str) -> None:
    """RFC 9293, section 3.10.7.1: everything but a RST is answered with a RST."""
    net.inject(kind, to="h2", from_="h1", port=81, sport=40002, seq=5, absolute=True)
    net.sleep(0.2)
    answer = [each for each in net.record().segments if each.sender == "h2"]

    assert [each.flags for each in answer] == ([] if "RST" in kind else ["R" if "ACK" in kind else "RA"])


@pytest.mark.parametrize("version", ["pair", "pair,ipv6=True"])
def test_an_icmp_error_refuses_a_connection(net: Net, version: str, request: pytest.FixtureRequest) -> None:
    """In SYN-SENT, a port that is unreachable ends it (net/ipv4/tcp_ipv4.c, tcp_v4_err())."""
    del version, request
    net.hold("SYN")
    with net.h1.socket() as client:
        client.setblocking(False)
        client.connect_ex((net.h2.ip, 80))
        net.sleep(0.01)
        net.inject("ICMP-port-unreachable", to="h1", from_="h2")
        net.sleep(0.2)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111
    icmp = [each for each in net.record().segments if each.icmp]
    assert [(each.icmp, each.receiver) for each in icmp] == [("port unreachable", "h1")]


@pytest.mark.handshake(topology="routed")
def test_a_router_reports_a_smaller_mtu(net: Net) -> None:
    """Fragmentation needed, from a router: segments become smaller."""
    client, server = connected(net)
    client.sendall(bytes(1448))
    server.recv(2000)
    net.inject("ICMP-fragmentation-needed", to="h1", from_="r1", mtu=1000)
    net.sleep(0.1)
    client.sendall(bytes(1448))
    net.sleep(0.5)

    sizes = [each.length for each in net.record().segments if each.sender == "h1" and each.length]
    assert sizes == [1448, 948, 500]


@pytest.mark.handshake(topology="routed")
def test_to_a_router(net: Net) -> None:
    """A router's own kernel answers: no socket listens there."""
    net.inject("SYN", to="r1", from_="h1", port=80, sport=40003)
    net.sleep(0.2)

    assert [(each.sender, each.flags) for each in net.record().segments if each.sent and "R" in each.flags] == [
        ("r1", "RA")
    ]


def test_what_cannot_be_injected(net: Net) -> None:
    """It is refused, with the part that is wrong."""
    for wanted, reason in (
        ({"kind": "SYN", "options": "mss"}, "has an invalid value"),
        ({"kind": "SYN", "options": "colour:3"}, "is not an option"),
        ({"kind": "SYN", "options": b"\x01" * 41}, "more than the 40"),
        ({"kind": "SYN", "window": 70000}, "does not fit into the window field"),
        ({"kind": "ACK", "payload": 5000}, "more than fit into a segment"),
        ({"kind": "ACK", "mtu": 1000}, "which only ICMP errors have"),
        ({"kind": "ICMP-nothing"}, "is not a kind of segment"),
    ):
        with pytest.raises(UsageError, match=reason):
            net.inject(**{"to": "h2", **wanted})  # type: ignore[arg-type]
    with pytest.raises(FaultImpossible, match="no connection of h2"):
        net.inject("RST", to="h2")
    with pytest.raises(FaultImpossible, match="from_ and port"):
        net.inject("RST", to="h2", sport=5)
