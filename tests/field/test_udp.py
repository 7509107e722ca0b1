"""UDP beside TCP: datagrams are captured, drawn and counted, and faults can pick them; TCP is on record as ever."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab import judge, ladder, page
from handshake_lab.report.export.pcapng import pcapng
from handshake_lab.report.export.run_document import run_document
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net, TransmittedSegment

pytestmark = pytest.mark.handshake(delay="5ms")

PORT = 53


def ask(net: Net, *questions: bytes, port: int = PORT) -> None:
    """Send datagrams to a server in h2, which answers each that arrives with twice as much."""
    server, client = net.h2.udp_socket(), net.h1.udp_socket()
    server.bind((net.h2.ip, PORT))
    server.settimeout(1)
    for question in questions:
        client.sendto(question, (net.h2.ip, port))
        try:
            data, whence = server.recvfrom(2000)
            server.sendto(2 * data, whence)
        except TimeoutError:
            pass
    net.sleep(net.rtt)


def outlined(datagrams: tuple[TransmittedSegment, ...]) -> list[tuple[str, str, int, bool]]:
    """From where to where, how long, and whether it was lost."""
    return [(each.sender, each.receiver, each.length, each.lost) for each in datagrams]


def test_datagrams_are_captured(net: Net) -> None:
    """With their times, and without any effect on the record of TCP."""
    ask(net, b"one", b"three")
    record = net.record()
    flights = [(each.received or 0) - (each.sent or 0) for each in record.datagrams]

    assert outlined(record.datagrams) == [
        ("h1", "h2", 3, False), ("h2", "h1", 6, False), ("h1", "h2", 5, False), ("h2", "h1", 10, False),
    ]  # fmt: skip
    assert all(5_000_000 <= flight < 6_000_000 for flight in flights)
    assert (record.segments, record.endpoints) == ((), ())


@pytest.mark.handshake(topology="pair,ipv6=true")
def test_over_ipv6(net: Net) -> None:
    """The same with IPv6 addresses."""
    with socket_of(net, "h2") as server, socket_of(net, "h1") as client:
        server.bind((net.h2.ip, PORT))
        client.sendto(b"six", (net.h2.ip, PORT))
        server.recv(3)

    assert outlined(net.record().datagrams) == [("h1", "h2", 3, False)]


def socket_of(net: Net, host: str) -> socket.socket:
    """A UDP socket for IPv6."""
    return net.network[host].socket(socket.AF_INET6, socket.SOCK_DGRAM)


@pytest.mark.parametrize("which", ["drop UDP from h1 nth=2", "drop UDP port=53 to h2 nth=2"])
def test_a_fault_picks_them(net: Net, which: str) -> None:
    """Counted like segments: the second one is dropped, and TCP is not touched."""
    fault = net.fault(which)
    ask(net, b"1", b"22", b"333")
    client, _, _ = open_connection(net)
    record = net.record()

    assert fault.fired == 1
    assert [each.length for each in record.datagrams if each.lost] == [2], describe(record)
    assert [each.number for each in record.segments if each.lost] == []
    assert net.history(client).states[-1] == "ESTABLISHED"


def test_other_things_that_faults_do(net: Net) -> None:
    """A datagram that the network duplicates is one that was sent, and a copy of it; a delayed one takes longer."""
    net.fault("duplicate UDP from h1 nth=1")
    net.fault("delay UDP 40ms from h1 nth=2")
    server, client = net.h2.udp_socket(), net.h1.udp_socket()
    server.bind((net.h2.ip, PORT))
    for each in (b"twice", b"late"):
        client.sendto(each, (net.h2.ip, PORT))
        net.sleep(0.1)
    first, copy, late = net.record().datagrams

    assert (first.sent is None, copy.sent is None, copy.copies) == (False, True, first.number)
    assert (late.received or 0) - (late.sent or 0) >= 45_000_000


def test_an_unreachable_port(net: Net) -> None:
    """The ICMP error about a datagram is on record with the datagrams."""
    net.h1.udp_socket().sendto(b"anybody?", (net.h2.ip, 9))
    net.sleep(net.rtt)

    assert [(each.name, each.sender) for each in net.record().datagrams] == [
        ("UDP", "h1"),
        ("ICMP port unreachable", "h2"),
    ]


@pytest.mark.handshake(topology="nat")
def test_through_a_translator(net: Net) -> None:
    """One datagram each way, with the addresses that the translator gave it."""
    server, client = net.h2.udp_socket(), net.h1.udp_socket()
    server.bind((net.h2.ip, PORT))
    client.sendto(b"ask", (net.h2.ip, PORT))
    data, whence = server.recvfrom(100)
    server.sendto(data, whence)
    client.recv(3)
    first, second = net.record().datagrams

    assert (first.lost, second.lost) == (False, False)
    assert first.translated is not None
    assert first.translated[0].ip == whence[0] != client.getsockname()[0]


def test_wherever_the_run_is_shown(net: Net) -> None:
    """The ladder draws them, the verdict counts them and is neutral, the page, JSON and the capture have them."""
    net.fault("drop UDP from h2")
    ask(net, b"hello")
    record = net.record()
    verdict = judge(record)
    drawn, document = ladder(record, verdict=verdict), run_document(record, verdict)

    assert "#1 UDP len=5" in drawn
    assert "UDP datagrams: 2, lost: 1" in drawn
    assert "no TCP was observed" in drawn
    assert "UDP" in page(record, title="datagrams", verdict=verdict)
    assert [(each.protocol, each.lost) for each in document.datagrams] == [("UDP", False), ("UDP", True)]
    assert b"hello" in pcapng(record, net.observations)


def test_numbers_follow_those_of_segments(net: Net) -> None:
    """Segments keep the numbers that they have without UDP."""
    ask(net, b"before")
    open_connection(net)
    net.sleep(net.rtt)
    record = net.record()

    assert [each.number for each in record.segments] == [1, 2, 3]
    assert [each.number for each in record.datagrams] == [4, 5]
