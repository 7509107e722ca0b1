"""Behind a NAT, nothing that arrives is lost, and what the router itself sends is the router's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe, last
from handshake_lab import judge, seconds, transition
from handshake_lab.report.layout.connections import connections
from tcp_steps import abort, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket, TransmittedSegment

pytestmark = pytest.mark.handshake(topology="nat", delay="5ms")

LIBERAL = "r1:net.netfilter.nf_conntrack_tcp_be_liberal"
#: For the router: its port 80 is h1's port 8080, and connections to it seem to come from the router.
FORWARDED = """add table ip forwarded
add chain ip forwarded in { type nat hook prerouting priority -100; }
add rule ip forwarded in tcp dport 80 dnat to 192.168.1.2:8080
add chain ip forwarded out { type nat hook postrouting priority 90; }
add rule ip forwarded out oifname "r1-eth0" masquerade
insert rule ip nat forward ct status dnat accept"""
#: By how much the sequence number of a crafted segment is out of any window.
FAR_OUT = 10_000_000


def send_out_of_window(net: Net, server: RecordedSocket) -> None:
    """From h2, send an ACK of a connection whose sequence number no window holds: conntrack calls it INVALID."""
    remote = net.history(server).remote
    *_, latest = (each for each in net.record().segments if each.src.ip == net.h2.ip and each.dst == remote)
    seq = (latest.seq + ("S" in latest.flags) + latest.length + FAR_OUT) % 2**32
    with net.network["h2"].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(_ack(latest, seq), (latest.dst.ip, 0))


def _ack(like: TransmittedSegment, seq: int) -> bytes:
    """A segment without data between the addresses of another, with this sequence number."""
    ports = like.src.port.to_bytes(2) + like.dst.port.to_bytes(2)
    header = ports + seq.to_bytes(4) + like.ack.to_bytes(4) + bytes((5 << 4, 0x10)) + (65_535).to_bytes(2) + bytes(4)
    pseudo = socket.inet_aton(like.src.ip) + socket.inet_aton(like.dst.ip) + bytes((0, socket.IPPROTO_TCP, 0, 20))
    words = pseudo + header
    total = sum(int.from_bytes(words[at : at + 2]) for at in range(0, len(words), 2))
    folded = (total & 0xFFFF) + (total >> 16)
    checksum = ~(folded + (folded >> 16)) & 0xFFFF
    return header[:16] + checksum.to_bytes(2) + header[18:]


def resets(net: Net, after: float) -> list[TransmittedSegment]:
    """The RSTs that came to h2 after a time."""
    return [
        each
        for each in net.record().segments
        if each.receiver == "h2" and "R" in each.flags and each.received is not None and seconds(each.received) > after
    ]


def exchange_and_send_out_of_window(net: Net) -> tuple[RecordedSocket, RecordedSocket, float]:
    """A connection with a request on it, then the invalid segment; both ends, and when that was sent."""
    client, server, _ = open_connection(net)
    client.sendall(b"GET")
    server.recv(10)
    net.sleep(1)
    sent = seconds(net.clock.now())
    send_out_of_window(net, server)
    net.sleep(1)
    return client, server, sent


def test_router_resets_the_server(net: Net) -> None:
    """The segment is not translated, so it is for the router itself, which has no such connection and sends a RST."""
    client, server, sent = exchange_and_send_out_of_window(net)

    assert net.history(client).states[-1] == "ESTABLISHED"
    assert net.history(server).states[-1] == "CLOSED"
    assert transition(net.history(server), "CLOSED").edge == "26.ES"
    assert len(resets(net, sent)) == 1


@pytest.mark.handshake(sysctls={LIBERAL: 1})
def test_liberal_conntrack_resets_nobody(net: Net) -> None:
    """With nf_conntrack_tcp_be_liberal, only a RST out of the window is INVALID."""
    client, server, sent = exchange_and_send_out_of_window(net)

    assert net.history(client).states[-1] == "ESTABLISHED"
    assert net.history(server).states[-1] == "ESTABLISHED"
    assert resets(net, sent) == []


def test_the_reset_is_the_routers(net: Net) -> None:
    """The RST that ends the server's endpoint was sent by the router only."""
    _, _, sent = exchange_and_send_out_of_window(net)

    assert [(each.sender, each.sent is not None) for each in resets(net, sent)] == [("r1", True)]


def test_the_crafted_segment_is_the_servers(net: Net) -> None:
    """A segment that a raw socket sent belongs to the host whose capture contains it, delivered or not."""
    _, _, sent = exchange_and_send_out_of_window(net)
    crafted = [each for each in net.record().segments if each.flags == "A" and seconds(each.sent or 0) >= sent]

    assert [each.sender for each in crafted] == ["h2"]


def test_nothing_is_lost(net: Net) -> None:
    """Each segment that was sent is one that arrived, though its address was translated on the way."""
    client, server, _ = open_connection(net)
    client.sendall(b"hello")
    server.recv(10)
    net.sleep(1)

    assert [(each.number, each.sender, each.flags) for each in net.record().segments if each.lost] == []


def test_nothing_comes_from_nobody(net: Net) -> None:
    """Each segment that arrived is one that a host sent."""
    client, server, _ = open_connection(net)
    client.sendall(b"hello")
    server.recv(10)
    net.sleep(1)

    assert [(each.number, each.flags) for each in net.record().segments if each.sent is None] == []


def test_why_data_were_sent_again(net: Net) -> None:
    """Data whose acknowledgment is held back are sent again, though they had arrived: they were not lost."""
    client, server, _ = open_connection(net)
    net.sleep(1)
    net.delay("ACK", "400ms", from_="h2")
    client.sendall(b"hello")
    server.recv(10)
    net.sleep(2)
    (reason,) = [finding.text for finding in judge(net.record()).findings if "retransmitted" in finding.text]

    assert "it was lost" not in reason, describe(net.record())


@pytest.mark.handshake(topology="nat", delay="5ms")
def test_both_addresses_are_translated(net: Net) -> None:
    """A port of the router's that is forwarded to h1, and masquerading: the client sees the router, and so does h1."""
    net.network["r1"].run(["nft", FORWARDED])
    listener = net.h1.listen(8080)
    client = net.h2.connect((net.network["r1"].addresses[-1], 80))
    server, _ = listener.accept()
    client.sendall(b"hello")
    server.recv(10)
    client.close()
    server.close()
    net.sleep(1)
    record = net.record()

    assert [each.flags for each in record.segments if each.lost or each.sent is None] == []
    assert {(each.sender, each.receiver) for each in record.segments} == {("h1", "h2"), ("h2", "h1")}
    assert [(each.left.node, each.right.node) for each in connections(record)] == [("h2", "h1")]


#: For the router: its outer address leads back to h1, also for h1 itself, which the router then hides.
HAIRPIN = """add table ip hairpin
add chain ip hairpin in { type nat hook prerouting priority -100; }
add rule ip hairpin in ip daddr 203.0.113.1 tcp dport 80 dnat to 192.168.1.2:8080
add chain ip hairpin out { type nat hook postrouting priority 90; }
add rule ip hairpin out ip daddr 192.168.1.2 ip saddr 192.168.1.0/24 masquerade"""


@pytest.mark.parametrize("ending", ["close", "abort"])
def test_hairpin(net: Net, ending: str) -> None:
    """A host that connects to itself by way of the router: one connection, nothing lost, the right causes."""
    net.network["r1"].run(["nft", HAIRPIN])
    listener = net.h1.listen(8080)
    client = net.h1.connect(("203.0.113.1", 80))
    server, _ = listener.accept()
    if ending == "abort":
        abort(server)
    else:
        client.close()
        server.recv(1)
        server.close()
    net.sleep(1)
    record = net.record()

    assert complaints(record) == [], describe(record)
    assert {(each.sender, each.receiver, each.lost) for each in record.segments} == {("h1", "h1", False)}
    assert len(connections(record)) == 1
    expected = [("26.ES", "reset"), ("27.ES", "call")] if ending == "abort" else [("21", "segment"), ("19", "segment")]
    assert [last(net.history(each)) for each in (client, server)] == expected


#: For the router: as nat does for IPv4, and one of its ports leads to h2.
NAT66 = """add table ip6 nat
add chain ip6 nat out { type nat hook postrouting priority 100; }
add rule ip6 nat out oifname "r1-eth1" masquerade
add chain ip6 nat in { type nat hook prerouting priority -100; }
add rule ip6 nat in tcp dport 8000 dnat to [fd00:2::2]:80"""


@pytest.mark.handshake(topology="routed,ipv6=True", delay="5ms")
@pytest.mark.parametrize("target", [("fd00:2::2", 80), ("fd00:1::1", 8000)], ids=["source", "both"])
def test_ipv6_is_translated(net: Net, target: tuple[str, int]) -> None:
    """NAT66: one connection, nothing lost, nothing from nobody."""
    net.network["r1"].run(["nft", NAT66])
    listener = net.h2.listen(80)
    client = net.h1.connect(target)
    server, remote = listener.accept()
    client.sendall(b"hello")
    server.recv(10)
    client.close()
    server.recv(1)
    server.close()
    net.sleep(1)
    record = net.record()

    assert remote[0] == "fd00:2::1"
    assert complaints(record) == [], describe(record)
    assert [each.flags for each in record.segments if each.lost or each.sent is None] == []
    assert [(each.left.node, each.right.node) for each in connections(record)] == [("h1", "h2")]


@pytest.mark.handshake(topology="firewall,refuse=reset", delay="5ms")
def test_a_reset_in_anothers_name(net: Net) -> None:
    """A firewall that refuses with a RST sends it with h2's address: it is the router that sent it."""
    with pytest.raises(ConnectionRefusedError):
        net.h1.connect((net.h2.ip, 81))
    syn, reset = net.record().segments

    assert (syn.lost, syn.stopped_at) == (True, "r1")
    assert (reset.sender, reset.receiver, reset.src.ip, reset.lost) == ("r1", "h1", net.h2.ip, False)


@pytest.mark.parametrize("flags", ["SYN", "SYN-ACK", "DATA"])
def test_what_the_router_drops_is_lost_at_the_router(net: Net, flags: str) -> None:
    """In both directions: an answer has the router's own address until it is translated, but is not for the router."""
    dropped = net.fault(f"drop {flags} nth=1" + (" from h2" if flags == "DATA" else ""))
    client, server, _ = open_connection(net)
    server.sendall(b"answer")
    assert client.recv(10) == b"answer"
    net.settle()
    lost = [each for each in net.record().segments if each.lost]

    assert dropped.fired == 1
    assert [(each.name, each.stopped_at) for each in lost] == [(flags if flags != "DATA" else "PSH-ACK", "r1")]
    assert {each.receiver for each in net.record().segments} == {"h1", "h2"}
    assert complaints(net.record()) == []
