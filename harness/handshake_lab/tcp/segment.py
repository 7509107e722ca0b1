"""Decodes TCP segments: from the bytes of an Ethernet frame to a value.

It runs for every packet in the lab kernel, where Python is several times slower than
on the host. Therefore it decodes the frame with `struct` and caches the addresses.
"""

from __future__ import annotations

import struct
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.flags import DECISIVE, NAMES, NO_FLAGS, ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The letters of the flag bits from the lowest up (RFC 9293, section 3.1; RFC 3168 for E and W):
#: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
_BITS = "FSRPAUEW"

_FLAGS = tuple("".join(c for c in ORDER if byte >> _BITS.index(c) & 1) for byte in range(256))

_TCP = struct.Struct("!IIBBH")  # sequence, acknowledgment, data offset, flags, window

_IPV4, _IPV6, _TCP_PROTOCOL, _UDP_PROTOCOL = 0x0800, 0x86DD, 6, 17
_ETHERNET = 14
#: Extension headers that may be between IPv6 and TCP: hop-by-hop, routing, destination options.
EXTENSIONS = frozenset({0, 43, 60})

_ends: dict[bytes, tuple[Address, Address]] = {}
_MANY_ENDS = 4096


class Options(msgspec.Struct, frozen=True):
    """The options that describe a connection; None for an option that is absent.

    ``mss`` in bytes; ``window_scale`` as the shift count; ``timestamps`` are TSval and
    TSecr (RFC 7323); ``fast_open`` is the cookie, empty if one is requested (RFC 7413);
    ``sack`` holds the blocks' edges (RFC 2018).
    """

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    timestamps: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()
    fast_open: bytes | None = None


class Segment(msgspec.Struct, frozen=True):
    """One TCP segment.

    ``flags`` are letters in the order ``SFRPAUEW``. ``length`` counts the bytes of
    payload by the IP header, regardless of padding and truncation.
    ``window`` is the value of the field, not scaled. ``identification`` is IPv4's, 0 for IPv6.
    ``raw_options`` are undecoded, because few readers need them: see `options`.
    """

    src: Address
    dst: Address
    flags: str
    seq: int
    ack: int
    length: int
    window: int
    identification: int
    raw_options: bytes

    @property
    def options(self) -> Options:
        """The options, decoded."""
        return parse_options(self.raw_options)

    @property
    def name(self) -> str:
        """Its usual name: "SYN", "SYN-ACK", "FIN-ACK"."""
        return name_of(self.flags)


def decode(frame: bytes) -> Segment | None:
    """Decode an Ethernet frame.

    Args:
        frame: The frame from the destination address on. It may carry padding, and may
            be cut anywhere after the TCP header's fixed part.

    Returns:
        The segment; None if the frame holds no TCP header: another protocol, a later
        fragment, or cut too short.
    """
    if len(frame) < 54:  # Ethernet 14 + IPv4 20 + TCP 20
        return None
    kind = frame[12] << 8 | frame[13]
    if kind == _IPV4:
        # A later fragment has a fragment offset, and no TCP header.
        if frame[23] != _TCP_PROTOCOL or (frame[20] & 0x1F) | frame[21]:
            return None
        at = _ETHERNET + ((frame[14] & 15) << 2)
        payload = (frame[16] << 8 | frame[17]) - at + _ETHERNET
        identification = frame[18] << 8 | frame[19]
        key = frame[26:34] + frame[at : at + 4]
    elif kind == _IPV6:
        found = _after_ipv6(frame)
        if found is None:
            return None
        at, payload = found
        identification = 0
        key = frame[22:54] + frame[at : at + 4]
    else:
        return None
    header = frame[at + 12] >> 4 << 2 if len(frame) >= at + 20 else 0
    if not 20 <= header <= payload:
        return None
    seq, ack, _, bits, window = _TCP.unpack_from(frame, at + 4)
    src, dst = _ends.get(key) or _remember(key)
    return Segment(
        src,
        dst,
        _FLAGS[bits],
        seq,
        ack,
        payload - header,
        window,
        identification,
        frame[at + 20 : at + header] if header > 20 else b"",
    )


def ip_source(frame: bytes) -> str | None:
    """The source address of an Ethernet frame with IPv4 or IPv6; None if it has neither."""
    kind = frame[12] << 8 | frame[13] if len(frame) >= 34 else 0
    if kind == _IPV4:
        return inet_ntoa(frame[26:30])
    return _ipv6(frame[22:38]) if kind == _IPV6 and len(frame) >= 54 else None


def udp_ports(frame: bytes) -> tuple[int, int, int] | None:
    """Source port, destination port and length of the payload of a UDP datagram; None if a frame holds none."""
    kind = frame[12] << 8 | frame[13] if len(frame) >= 42 else 0
    if kind == _IPV4 and frame[23] == _UDP_PROTOCOL:
        at = _ETHERNET + ((frame[14] & 15) << 2)
    elif kind == _IPV6 and frame[20] == _UDP_PROTOCOL:
        at = 54
    else:
        return None
    source, target, length = struct.unpack_from("!HHH", frame, at)
    return source, target, length - 8


def _after_ipv6(frame: bytes) -> tuple[int, int] | None:
    """Where TCP begins in an IPv6 frame, and the number of bytes from there on."""
    following = frame[20]
    payload = frame[18] << 8 | frame[19]
    at = 54
    while following in EXTENSIONS and at + 8 <= len(frame):
        size = (frame[at + 1] + 1) * 8
        following, at, payload = frame[at], at + size, payload - size
    return (at, payload) if following == _TCP_PROTOCOL else None


def _remember(key: bytes) -> tuple[Address, Address]:
    """Format both addresses, once per pair, because `inet_ntop` takes longer than all other steps."""
    if len(_ends) >= _MANY_ENDS:
        _ends.clear()
    half = (len(key) - 4) // 2
    spell = inet_ntoa if half == 4 else _ipv6
    ports = key[-4:]
    _ends[key] = ends = (
        Address(spell(key[:half]), ports[0] << 8 | ports[1]),
        Address(spell(key[half : 2 * half]), ports[2] << 8 | ports[3]),
    )
    return ends


def _ipv6(raw: bytes) -> str:
    return inet_ntop(AF_INET6, raw)


def options_of(frame: bytes) -> bytes:
    """The options of the TCP header in an Ethernet frame, undecoded; empty if it has none, or is cut before them."""
    segment = decode(frame)
    return segment.raw_options if segment is not None else b""


def parse_options(raw: bytes) -> Options:
    """Decode a TCP header's options (RFC 9293, section 3.2).

    Unknown kinds are skipped; options after one with an impossible length, or after the
    place where the frame was cut, are omitted.
    """
    found: dict[str, Any] = {}
    for kind, body in _each_option(raw):
        if kind == 2 and len(body) == 2:
            found["mss"] = body[0] << 8 | body[1]
        elif kind == 3 and len(body) == 1:
            found["window_scale"] = body[0]
        elif kind == 4:
            found["sack_permitted"] = True
        elif kind == 5 and len(body) % 8 == 0:
            found["sack"] = tuple(struct.iter_unpack("!II", body))
        elif kind == 8 and len(body) == 8:
            found["timestamps"] = struct.unpack("!II", body)
        elif kind == 34:
            found["fast_open"] = body
    return Options(**found)


def _each_option(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 1 < len(raw) and raw[at] != 0:
        if raw[at] == 1:  # no-operation: a kind without a length
            at += 1
            continue
        size = raw[at + 1]
        if size < 2 or at + size > len(raw):
            return
        yield raw[at], raw[at + 2 : at + size]
        at += size


def name_of(flags: str) -> str:
    """The usual name of a segment with these flags.

    Returns:
        "SYN", "SYN-ACK", "ACK", "FIN-ACK", "RST", "RST-ACK", …; PSH, URG, ECE and CWR
        count only if nothing else is set; "none" for a segment without flags.
    """
    spoken = [letter for letter in DECISIVE if letter in flags] or list(flags)
    return "-".join(NAMES[letter] for letter in spoken) or NO_FLAGS
