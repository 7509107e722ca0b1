"""Knowing a connection's numbers, and making segments up for it."""

from __future__ import annotations

import struct

import pytest
from handshake_lab.linux.netlink import qdisc
from handshake_lab.linux.netlink.netem_tables import table
from handshake_lab.linux.netlink.pyroute2_gaps import RouteMarshal
from handshake_lab.linux.netlink.qdisc import NetemParameters
from handshake_lab.network.faults.connection_numbers import ConnectionNumbers
from handshake_lab.network.netem import netem_parameters
from handshake_lab.plan.link import Impairment
from handshake_lab.tcp import craft
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import Segment, decode

CLIENT, SERVER = Address("10.0.0.1", 40_000), Address("10.0.0.2", 80)
ETHERNET = bytes(12) + b"\x08\x00"
ETHERNET6 = bytes(12) + b"\x86\xdd"


def seg(source: Address, target: Address, flags: str, seq: int, length: int = 0) -> Segment:
    """A segment; its acknowledgment number does not matter here."""
    return Segment(source, target, flags, seq, 0, length, 0, 0, b"")


def test_numbers_of_a_handshake() -> None:
    """After SYN and SYN-ACK the server expects the client's next byte, and has sent its SYN."""
    known = ConnectionNumbers()
    for segment in (seg(CLIENT, SERVER, "S", 2**32 - 1), seg(SERVER, CLIENT, "SA", 500)):
        known.sent(segment)
        known.given(segment)
    found = known.latest({"10.0.0.2"}, set(), 0)

    assert found is not None
    sender, receiver = found
    assert (sender.address, receiver.address) == (CLIENT, SERVER)
    assert (receiver.given, receiver.sent) == (0, 501)
    assert (sender.given, sender.sent) == (501, 0)


def test_what_is_lost_is_still_expected_and_what_fills_the_gap_counts_at_once() -> None:
    """The number a host expects is behind all that reached it in order."""
    known = ConnectionNumbers()
    known.given(seg(CLIENT, SERVER, "S", 99))
    for start in (200, 300):
        known.given(seg(CLIENT, SERVER, "A", start, 100))
    found = known.latest({"10.0.0.2"}, {"10.0.0.1"}, 80)
    assert found is not None
    assert found[1].given == 100

    known.given(seg(CLIENT, SERVER, "A", 100, 100))

    assert found[1].given == 400


def test_the_connection_last_heard_of_is_meant_unless_a_port_is_named() -> None:
    """Of several, by port or by time."""
    known = ConnectionNumbers()
    other = Address("10.0.0.1", 40_001)
    known.sent(seg(CLIENT, SERVER, "S", 1))
    known.given(seg(CLIENT, SERVER, "S", 1))
    known.sent(seg(other, SERVER, "S", 1))
    known.given(seg(other, SERVER, "S", 1))

    latest = known.latest({"10.0.0.2"}, set(), 0)
    by_port = known.latest({"10.0.0.2"}, set(), 40_000)

    assert latest is not None
    assert by_port is not None
    assert (other, CLIENT) == (latest[0].address, by_port[0].address)
    assert known.latest({"10.0.0.3"}, set(), 0) is None
    assert known.latest({"10.0.0.2"}, {"10.0.0.9"}, 0) is None


@pytest.mark.parametrize(
    ("kind", "ack", "flags"),
    [("SYN", None, "S"), ("SYN-ACK", 7, "SA"), ("RST", None, "R"), ("RST-ACK", 7, "RA"), ("FIN", 7, "FA")],
)
def test_a_made_up_segment_is_read_back_as_asked(kind: str, ack: int | None, flags: str) -> None:
    """Addresses, flags and numbers, over IPv4 and IPv6."""
    for ethernet, source, target in (
        (ETHERNET, CLIENT, SERVER),
        (ETHERNET6, Address("fd00::1", 1), Address("fd00::2", 2)),
    ):
        segment = decode(craft.segment(ethernet, source, target, kind, 5, ack))

        assert segment is not None
        assert (source, target, flags, 5, ack or 0, 0) == (
            segment.src,
            segment.dst,
            segment.flags,
            segment.seq,
            segment.ack,
            segment.length,
        )


def test_checksums_are_right() -> None:
    """Summing header and pseudo header with the checksum in place gives all ones (RFC 1071)."""
    frame = craft.segment(ETHERNET, CLIENT, SERVER, "SYN-ACK", 1, 2)
    ip, tcp = frame[14:34], frame[34:]
    pseudo = ip[12:20] + struct.pack("!HH", 6, len(tcp))

    assert craft._checksum(ip) == 0
    assert craft._checksum(pseudo + tcp) == 0
    assert craft._checksum(pseudo + craft.damaged(frame)[34:]) != 0


@pytest.mark.parametrize(
    "text",
    [
        "delay=50ms",
        "delay=7ns,jitter=3ns,jitter_correlation=25%",
        "loss=1%,loss_correlation=100%,duplicate=2%,duplicate_correlation=3%",
        "gilbert=1%/10%/70%/0.1%",
        "rate=10mbit,limit=7",
        "rate=400gbit",
        "delay=3600s,reorder=25%,reorder_correlation=50%,gap=5,corrupt=0.1%,corrupt_correlation=9%",
    ],
)
def test_netems_settings_survive_encoding(text: str) -> None:
    """Values that are encoded in a request are decoded from an answer of the same format."""
    asked = netem_parameters(Impairment.parse(text))

    request = qdisc.netem(3, "s1-eth1", asked, "")
    (answer,) = RouteMarshal().parse(request.data)

    assert asked == NetemParameters.parse(answer.get_attr("TCA_OPTIONS"))


@pytest.mark.parametrize("name", ["normal", "pareto", "paretonormal"])
def test_a_distributions_table_is_in_order_with_mean_0(name: str) -> None:
    """As netem wants it: increasing, mean 0 and (nearly) deviation 1, in 1/8192."""
    values = table(name)
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5

    assert list(values) == sorted(values)
    assert abs(mean / 8192) < 0.05
    assert 0.5 < deviation / 8192 < 1.05
