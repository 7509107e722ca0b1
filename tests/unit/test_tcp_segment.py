"""Segments are read from frames right, whatever the frame."""

from __future__ import annotations

import struct

import pytest
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.flags import ORDER
from handshake_lab.tcp.segment import decode, name_of, parse_options
from handshake_lab.tcp.sequence_numbers import add, after, before, between, distance, occupied
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.integers(0, 0xFFFF)
LONGS = st.integers(0, 0xFFFF_FFFF)
BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "W": 128}


def tcp(sport: int, dport: int, seq: int, ack: int, bits: int, window: int, options: bytes, payload: bytes) -> bytes:
    """A TCP header and its payload."""
    options += bytes(-len(options) % 4)
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (5 + len(options) // 4) << 4, bits, window, 0, 0) + (
        options + payload
    )


def ipv4(body: bytes, *, protocol: int = 6, options: bytes = b"", fragment: int = 0) -> bytes:
    """An Ethernet frame that holds an IPv4 packet from 10.0.0.1 to 10.0.0.2."""
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45 + len(options) // 4,
        0,
        20 + len(options) + len(body),
        0x1234,
        fragment,
        64,
        protocol,
        0,
        bytes([10, 0, 0, 1]),
        bytes([10, 0, 0, 2]),
    )
    return bytes(12) + b"\x08\x00" + header + options + body


def ipv6(body: bytes, *, following: int = 6) -> bytes:
    """An Ethernet frame that holds an IPv6 packet from fd00::1 to fd00::2."""
    ends = bytes([0xFD, *bytes(14), 1]) + bytes([0xFD, *bytes(14), 2])
    return bytes(12) + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), following, 64) + ends + body


@given(WORDS, WORDS, LONGS, LONGS, st.sets(st.sampled_from(ORDER)), WORDS, st.binary(max_size=600), st.booleans())
def test_decoding_gives_back_what_was_put_in(
    sport: int, dport: int, seq: int, ack: int, flags: set[str], window: int, payload: bytes, six: bool
) -> None:
    """Every field is encoded and decoded, over IPv4 and IPv6."""
    body = tcp(sport, dport, seq, ack, sum(BITS[flag] for flag in flags), window, b"", payload)

    segment = decode(ipv6(body) if six else ipv4(body))

    assert segment is not None
    assert segment.src == Address("fd00::1" if six else "10.0.0.1", sport)
    assert segment.dst == Address("fd00::2" if six else "10.0.0.2", dport)
    assert (segment.seq, segment.ack, segment.window) == (seq, ack, window)
    assert segment.flags == "".join(flag for flag in ORDER if flag in flags)
    assert segment.length == len(payload)
    assert segment.identification == (0 if six else 0x1234)


@given(st.binary(max_size=300), st.integers(0, 60), st.integers(0, 300))
def test_length_is_what_ip_says(payload: bytes, padding: int, snap: int) -> None:
    """Neither Ethernet's padding nor a frame cut short changes the payload's length."""
    frame = ipv4(tcp(1, 2, 3, 4, 16, 5, b"", payload))

    padded = decode(frame + bytes(padding))
    cut = decode(frame[: max(54, snap)])

    assert padded is not None
    assert cut is not None
    assert len(payload) == padded.length == cut.length


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_fails(noise: bytes) -> None:
    """Whatever is on the wire, decoding does not raise."""
    for frame in (noise, ipv4(noise), ipv6(noise), ipv4(noise, protocol=17), bytes(12) + b"\x08\x00" + noise):
        segment = decode(frame)

        assert segment is None or segment.length >= 0


def test_what_is_not_tcp_is_none() -> None:
    """Other protocols, later fragments and frames cut before the header's end hold no segment."""
    body = tcp(1, 2, 3, 4, 2, 5, b"", b"")

    assert decode(ipv4(body, protocol=17)) is None
    assert decode(ipv4(body, fragment=1)) is None
    assert decode(ipv4(body)[:53]) is None
    assert decode(ipv6(body, following=17)) is None
    assert decode(bytes(12) + b"\x08\x06" + bytes(60)) is None


def test_options_of_ip_are_skipped() -> None:
    """TCP begins where the IP header ends, not 20 bytes on; IPv6's extension headers are skipped too."""
    body = tcp(7, 8, 9, 10, 2, 11, b"", b"abc")
    hop_by_hop = bytes([6, 0, 1, 4, 0, 0, 0, 0])

    four = decode(ipv4(body, options=bytes([1, 1, 1, 0])))
    six = decode(ipv6(hop_by_hop + body, following=0))

    assert four is not None
    assert six is not None
    assert (four.src.port, four.seq, four.length) == (7, 9, 3)
    assert (six.src.port, six.seq, six.length) == (7, 9, 3)


def test_options_of_a_syn() -> None:
    """A SYN's options are read."""
    raw = bytes.fromhex("020405b4 0402 080a 00000001 00000000 01 030307 2208 0102030405 06")

    options = parse_options(raw)

    assert options.mss == 1460
    assert options.window_scale == 7
    assert options.sack_permitted
    assert options.timestamps == (1, 0)
    assert options.fast_open == bytes([1, 2, 3, 4, 5, 6])


@given(st.binary(max_size=40))
def test_damaged_options_never_fail(raw: bytes) -> None:
    """An impossible length ends the list."""
    parse_options(raw)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("S", "SYN"),
        ("SA", "SYN-ACK"),
        ("SEW", "SYN"),
        ("A", "ACK"),
        ("PA", "ACK"),
        ("FA", "FIN-ACK"),
        ("FPA", "FIN-ACK"),
        ("R", "RST"),
        ("RA", "RST-ACK"),
        ("P", "PSH"),
        ("", "none"),
    ],
)
def test_names(flags: str, name: str) -> None:
    """Segments are called as people call them."""
    assert name_of(flags) == name


@given(LONGS, st.integers(-(2**30), 2**30))
def test_sequence_numbers_wrap(start: int, step: int) -> None:
    """Distance undoes addition, also across 2^32."""
    end = add(start, step)

    assert distance(start, end) == step
    assert after(end, start) == (step > 0)
    assert before(end, start) == (step < 0)
    assert between(start, end, add(start, 2**30)) == (step >= 0)


def test_syn_and_fin_take_a_number_each() -> None:
    """A segment occupies its payload, its SYN and its FIN (RFC 9293, section 3.4)."""
    assert [
        occupied("S", 0), occupied("FA", 0), occupied("A", 0), occupied("R", 0), occupied("FPA", 10), occupied("SF", 0)
    ] == [1, 1, 0, 0, 11, 2]  # fmt: skip
