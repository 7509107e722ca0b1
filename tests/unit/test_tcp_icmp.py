"""Decoding ICMP errors: the kind of error, and the quoted segment."""

from __future__ import annotations

import pytest
from handshake_lab.tcp import craft
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.icmp import IcmpError, decode_error
from hypothesis import given
from hypothesis import strategies as st

ETHERNET_4, ETHERNET_6 = bytes(12) + b"\x08\x00", bytes(12) + b"\x86\xdd"
FOUR = Address("10.0.0.1", 40_000), Address("10.0.0.2", 80)
SIX = Address("fd00::1", 40_000), Address("fd00::2", 80)


def about(ends: tuple[Address, Address], kind: int, code: int, word: int = 0) -> bytes:
    """A frame with an ICMP error about a SYN with the sequence number 1000."""
    six = ":" in ends[0].ip
    quoted = craft.segment(bytes(14), *ends, "SYN", 1000, None)[14:]
    icmp = bytes((kind, code, 0, 0)) + word.to_bytes(4) + quoted
    if six:
        return ETHERNET_6 + bytes((0x60, 0, 0, 0)) + len(icmp).to_bytes(2) + bytes((58, 64)) + bytes(32) + icmp
    return ETHERNET_4 + bytes((0x45, 0)) + (20 + len(icmp)).to_bytes(2) + bytes(5) + b"\x01" + bytes(10) + icmp


@pytest.mark.parametrize(
    ("ends", "kind", "code", "word", "name"),
    [
        (FOUR, 3, 1, 0, "host unreachable"),
        (FOUR, 3, 4, 1300, "fragmentation needed, MTU 1300"),
        (FOUR, 3, 13, 0, "administratively prohibited"),
        (FOUR, 11, 0, 0, "time exceeded"),
        (FOUR, 12, 7, 0, "parameter problem"),
        (SIX, 1, 0, 0, "no route"),
        (SIX, 1, 4, 0, "port unreachable"),
        (SIX, 2, 0, 1300, "packet too big, MTU 1300"),
        (SIX, 4, 1, 0, "parameter problem"),
    ],
)
def test_an_error(ends: tuple[Address, Address], kind: int, code: int, word: int, name: str) -> None:
    """RFC 792 and RFC 4443: type and code identify the error; the quoted header identifies the segment."""
    error = decode_error(about(ends, kind, code, word))

    assert error is not None
    assert (error.name, error.src, error.dst, error.seq) == (name, *ends, 1000)


@pytest.mark.parametrize("kind", [0, 8])
def test_a_ping_is_no_error(kind: int) -> None:
    """Echo and echo reply quote nothing, whatever they carry."""
    assert decode_error(about(FOUR, kind, 0)) is None


def test_an_error_about_udp_is_left_out() -> None:
    """Only TCP has states."""
    frame = bytearray(about(FOUR, 3, 3))
    frame[14 + 20 + 8 + 9] = 17

    assert decode_error(bytes(frame)) is None


@given(ends=st.sampled_from([FOUR, SIX]), size=st.integers(min_value=0, max_value=120))
def test_a_cut_frame(ends: tuple[Address, Address], size: int) -> None:
    """For a frame that is cut at any byte, the result is the error or None."""
    whole = about(ends, 3 if ends is FOUR else 1, 1)

    assert decode_error(whole[:size]) in (None, decode_error(whole))


@given(st.binary(max_size=200))
def test_any_bytes(frame: bytes) -> None:
    """Nothing that comes from a network makes it fail."""
    found = decode_error(ETHERNET_4 + frame)

    assert found is None or isinstance(found, IcmpError)
