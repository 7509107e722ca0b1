"""A scripted peer: a handshake with each side under test, data, an ICMP error, what it did not expect, and silence."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import WaitTimedOut, sent
from handshake_lab.errors import SegmentUnexpected, UsageError

if TYPE_CHECKING:
    from handshake_lab import Net


@pytest.mark.parametrize("topology", ["pair", "routed"])
def test_a_client_under_test(net: Net, topology: str, request: pytest.FixtureRequest) -> None:
    """It connects to nobody but the script; the record has both directions, and the options."""
    del topology, request
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    syn = peer.expect("S", seq=0)
    peer.send("SA", options="mss:1000,nop,ws:3", window=1000)
    peer.expect("A", seq=1, ack=1)
    client.sendall(b"abc")
    peer.expect("PA", payload=b"abc")
    peer.send("A", seq=1, ack=4)
    peer.expect_nothing(2)

    assert syn.options.mss == 1460
    assert [f"{each.sender} {each.flags}" for each in sent(net.record())] == ["h1 S", "h2 SA", "h1 A", "h1 PA", "h2 A"]
    answer = sent(net.record(), sender="h2")
    assert (answer[0].options.mss, answer[0].scaled_window, answer[1].scaled_window) == (1000, 1000, 65535 << 3)


@pytest.mark.handshake(topology="pair,ipv6=True")
def test_a_server_under_test(net: Net) -> None:
    """The script opens the connection, over IPv6; the program accepts it."""
    listener = net.h2.listen(80)
    peer = net.h1.scripted_peer(40000, to=("h2", 80))
    peer.send("S", options="mss:1220")
    peer.expect("SA", seq=0, ack=1)
    peer.send("A", seq=1)
    peer.send("PA", seq=1, payload="hello")
    server, address = listener.accept()

    assert server.recv(10) == b"hello"
    assert address[:2] == ("fd00::1", 40000)
    peer.expect("A", ack=6)


def test_a_port_that_the_script_refuses(net: Net) -> None:
    """By an ICMP error."""
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.send_icmp("port unreachable", about=peer.expect("S"))
    net.sleep(0.1)

    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111


def test_what_was_not_expected(net: Net) -> None:
    """The message tells what came, with its numbers and options."""
    peer = net.h2.scripted_peer(80)
    net.h1.begin_connect(("h2", 80))
    with pytest.raises(
        SegmentUnexpected, match=r"expected SYN-ACK with flags='SA', but received SYN seq=0 len=0 win=\d+"
    ):
        peer.expect("SA")
    with pytest.raises(SegmentUnexpected, match="expected nothing for 5 s, but received SYN"):
        peer.expect_nothing(5)
    peer.send("SA")
    with pytest.raises(SegmentUnexpected, match=r"with ack=7, but received ACK seq=1 ack=1"):
        peer.expect("A", ack=7)
    with pytest.raises(WaitTimedOut, match="timed out after 3 s"):
        peer.receive(3)
    with pytest.raises(UsageError, match="is not a combination of flags"):
        peer.send("SYM")


def test_after_the_peer_the_kernel_answers(net: Net) -> None:
    """Its segments are hidden from the kernel only while it exists."""
    peer = net.h2.scripted_peer(80)
    net.h1.begin_connect(("h2", 80))
    peer.expect("S")
    peer.expect("S", within=2)
    peer.close()
    net.sleep(2.5)

    assert [each.flags for each in sent(net.record(), sender="h2")] == ["RA"]


def test_syns_with_ecn_are_found(net: Net) -> None:
    """ECE and CWR count only if they are asked for."""
    net.h1.sysctl("net.ipv4.tcp_ecn", 1)
    net.h2.sysctl("net.ipv4.tcp_ecn", 1)
    net.h1.connect(net.h2.listen(80))
    record = net.record()

    assert [each.flags for each in sent(record, "S")] == [each.flags for each in sent(record, "SEW")] == ["SEW"]
    assert [each.flags for each in sent(record, "SA")] == ["SAE"]
    assert sent(record, "SW") == []
