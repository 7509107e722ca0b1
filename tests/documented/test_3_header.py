"""C22 to C26: the header's control bits and numbers."""

from __future__ import annotations

import socket
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from claim_measures import connected, flags, read, segments
from handshake_lab import kernel_since
from handshake_lab.recording.observations import SegmentSeen

if TYPE_CHECKING:
    from documented.conftest import Claim
    from handshake_lab import Net, TransmittedSegment

pytestmark = pytest.mark.handshake(delay="50ms")


def control_bits(net: Net, port: int) -> list[str]:
    """The segments that hosts sent from and to a port, each given by bits 4 to 15 of the word with its control bits,
    including the reserved ones: the six bits of the notes are the last.
    """
    frames = [
        seen.frame
        for seen in net.observations
        if isinstance(seen, SegmentSeen) and seen.direction == "sent" and port in (seen.src.port, seen.dst.port)
    ]
    return [f"{(frame[46] << 8 | frame[47]) & 0xFFF:012b}" for frame in frames]


@pytest.mark.claim("C22")
def test_c22_control_bits(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.1: URG ACK PSH RST SYN FIN, and before them CWR and ECE (RFC 3168), which Linux sends if
    net.ipv4.tcp_ecn is 1; since 6.18 also AE (RFC 9768) if it is 3. A FIN of Linux always has ACK as well.
    """
    _, client, server = connected(net)
    client.sendall(b"request")
    read(server, 7)
    client.send(b"!", socket.MSG_OOB)
    client.shutdown(socket.SHUT_WR)
    read(server, 7)
    server.close()
    client.recv(1)
    net.settle()
    plain = control_bits(net, 80)
    fins = {bits for bits in plain if bits.endswith("1")}
    classic = _bits_of_syns(net, 81, "1")
    accurate = _bits_of_syns(net, 82, "3") if kernel_since(net.kernel, 6, 18) else ["000n/a"]

    assert plain[:4] == ["000000000010", "000000010010", "000000010000", "000000011000"]
    assert any(bits.endswith(("110000", "111000")) for bits in plain), "URG, in addition to ACK and PSH"
    assert {bits[:6] for bits in plain} == {"000000"}
    assert fins == {"000000010001"}
    assert classic == ["000011000010", "000001010010"]
    assert accurate[0] == ("000111000010" if kernel_since(net.kernel, 6, 18) else "000n/a")
    claim.holds_with_a_nuance(
        syn=plain[0][6:], ack=plain[2][6:], fin=min(fins)[6:], classic=classic[0][3:], accurate=accurate[0][3:]
    )


def _bits_of_syns(net: Net, port: int, ecn: str) -> list[str]:
    """The control bits of SYN and SYN-ACK under a setting of net.ipv4.tcp_ecn on both hosts."""
    for host in (net.h1, net.h2):
        host.sysctl("net.ipv4.tcp_ecn", ecn)
    connected(net, port)
    return control_bits(net, port)[:2]


@pytest.mark.claim("C23")
def test_c23_ack_in_all_but_the_first(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.1: "once a connection is established this is always sent"; but a RST in reply to a segment
    with ACK takes its number from that segment and has no ACK itself (3.10.7.1; tcp_v4_send_reset()).
    """
    _, client, server = connected(net)
    client.sendall(b"request")
    read(server, 7)
    server.sendall(bytes(10_000))
    read(client, 10_000)
    client.shutdown(socket.SHUT_WR)
    server.recv(1)
    server.close()
    client.recv(1)
    net.settle()
    ordinary = flags(segments(net, client))
    _, client, server = connected(net, 81)
    found = client.getsockname()[1]
    client.close()
    server.recv(1)
    server.sendall(b"answer")
    net.sleep(2 * net.rtt)
    last = [each.flags for each in net.record().segments if found in (each.src.port, each.dst.port)][-1]

    assert [place for place, each in enumerate(ordinary) if "A" not in each] == [0]
    assert last == "R"
    claim.holds_with_a_nuance(count=len(ordinary), reset="RST")


@pytest.mark.claim("C24")
def test_c24_sequence_numbers_count_bytes(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.4: a segment's sequence number is that of its first byte; the stream's first has the ISN + 1."""
    _, client, server = connected(net)
    for size in (10, 5000, 1):
        client.sendall(bytes(size))
    client.shutdown(socket.SHUT_WR)
    read(server, 6000)
    syn, *later = [each for each in segments(net, client) if each.sender == "h1"]
    data = [each for each in later if each.length]
    starts = [each.rel_seq for each in data]

    assert sum(each.length for each in data) == 5011
    assert starts == list(accumulate([1, *(each.length for each in data)]))[:-1]
    assert [(each.seq - syn.seq) % 2**32 for each in data] == starts
    claim.holds(lengths=", ".join(str(each.length) for each in data), starts=", ".join(map(str, starts)))


@pytest.mark.claim("C25")
def test_c25_ack_is_the_next_byte_expected(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.4: everything before the acknowledgment number has arrived; while the byte with that number is
    missing it stays, whatever arrives after it (the SACK option reports that: RFC 2018).
    """
    _, client, server = connected(net)
    net.drop("DATA", nth=3, from_="h1")
    client.sendall(bytes(10_000))
    read(server, 10_000)
    net.settle()
    found = segments(net, client)
    data = [each for each in found if each.sender == "h1" and each.length]
    acks = [each for each in found if each.sender == "h2" and each.flags == "A"]
    missing = data[2].rel_seq
    stuck = sum(each.rel_ack == missing for each in acks)

    assert data[2].lost
    assert [each for each in acks if each.rel_ack > _next_expected(data, each.sent)] == []
    assert stuck >= 3
    assert acks[-1].rel_ack == 10_001
    claim.holds(missing=missing, stuck=stuck, then=next(each.rel_ack for each in acks if each.rel_ack > missing))


def _next_expected(data: list[TransmittedSegment], now: int) -> int:
    """The first byte that had not arrived at that time."""
    following = 1
    for each in sorted(data, key=lambda each: each.rel_seq):
        if not each.lost and each.received <= now and each.rel_seq <= following:
            following = max(following, each.rel_seq + each.length)
    return following


@pytest.mark.claim("C26")
def test_c26_syn_and_fin_take_one_number_each(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.4: SYN and FIN count as one byte each, an ACK does not: 7 bytes take 9 numbers."""
    _, client, server = connected(net)
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    read(server, 100)
    net.settle()
    found = segments(net, client)
    syn, ack, data = [each for each in found if each.sender == "h1"][:3]
    syn_ack, last = found[1], found[-1]

    assert (syn_ack.ack - syn.seq) % 2**32 == 1
    assert data.seq == ack.seq
    assert (last.sender, last.flags) == ("h2", "A")
    assert (last.ack - syn.seq) % 2**32 == len(b"request") + 2
    claim.holds(bytes=len(b"request"), numbers=(last.ack - syn.seq) % 2**32)
