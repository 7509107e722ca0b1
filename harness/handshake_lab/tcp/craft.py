"""Crafts segments, and damages real ones: bytes in, bytes out."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from handshake_lab.tcp.flags import NO_FLAGS

if TYPE_CHECKING:
    from handshake_lab.tcp.address import Address

_BITS = {"FIN": 0x01, "SYN": 0x02, "RST": 0x04, "PSH": 0x08, "ACK": 0x10, "URG": 0x20, "ECE": 0x40, "CWR": 0x80}
_WINDOW = 65_535
_ICMP, _ICMPV6, _TCP = 1, 58, 6


def segment(
    ethernet: bytes,
    source: Address,
    target: Address,
    kind: str,
    seq: int,
    ack: int | None,
    payload: bytes = b"",
    *,
    window: int = _WINDOW,
    options: bytes = b"",
) -> bytes:
    """Make a whole frame with a TCP segment.

    Args:
        ethernet: The frame's header, 14 bytes.
        source: The source address, which may be another host's.
        target: The destination address.
        kind: Its flags, as `handshake_lab.tcp.flags.names` spells them: "SYN-ACK"; "none" for none.
        seq: Its sequence number.
        ack: Its acknowledgment number; None for none.
        payload: Its data.
        window: Its window field.
        options: Its options: whole words of 32 bits.
    """
    flags = sum(_BITS[word] for word in kind.split("-")) if kind != NO_FLAGS else 0
    if ack is not None:
        flags |= _BITS["ACK"]
    ends = _ends(source.ip, target.ip)
    offset = 5 + len(options) // 4
    tcp = struct.pack("!HHIIBBHHH", source.port, target.port, seq, ack or 0, offset << 4, flags, window, 0, 0)
    tcp += options + payload
    tcp = tcp[:16] + struct.pack("!H", _checksum(_pseudo(ends, _TCP, len(tcp)) + tcp)) + tcp[18:]
    return ethernet + _ip(ends, _TCP, len(tcp)) + tcp


def icmp_error(
    ethernet: bytes, source: str, quoted: tuple[Address, Address, int], type_: int, code: int, mtu: int = 0
) -> bytes:
    """Make a whole frame with an ICMP error about a TCP segment (RFC 792; RFC 4443), to the segment's sender.

    Args:
        ethernet: The frame's header, 14 bytes.
        source: The IP address of the node that reports the error.
        quoted: Source, destination and sequence number of the segment that it quotes.
        type_: The error's type; of ICMPv6 if the addresses are IPv6.
        code: Its code.
        mtu: The MTU that it reports, where it has one.
    """
    from_, to, seq = quoted
    inner = _ends(from_.ip, to.ip)
    tcp = struct.pack("!HHIIBBHHH", from_.port, to.port, seq, 0, 5 << 4, _BITS["ACK"], _WINDOW, 0, 0)
    version_6 = len(inner) == 32
    rest = struct.pack("!I", mtu) if version_6 else struct.pack("!HH", 0, mtu)
    body = struct.pack("!BBH", type_, code, 0) + rest + _ip(inner, _TCP, len(tcp)) + tcp
    ends = _ends(source, from_.ip)
    protocol = _ICMPV6 if version_6 else _ICMP
    checked = (_pseudo(ends, protocol, len(body)) if version_6 else b"") + body
    body = body[:2] + struct.pack("!H", _checksum(checked)) + body[4:]
    return ethernet + _ip(ends, protocol, len(body)) + body


def _ends(source: str, target: str) -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    return socket.inet_pton(family, source) + socket.inet_pton(family, target)


def _ip(ends: bytes, protocol: int, length: int) -> bytes:
    """The IP header in front of a payload."""
    if len(ends) == 32:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + ends
    # Don't fragment, TTL 64; the identification 0 that such packets may have (RFC 6864).
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0) + ends
    return ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]


def _pseudo(ends: bytes, protocol: int, length: int) -> bytes:
    """The pseudo header that checksums cover (RFC 9293, section 3.1; RFC 8200, section 8.1)."""
    if len(ends) == 32:
        return ends + struct.pack("!IxxxB", length, protocol)
    return ends + struct.pack("!xBH", protocol, length)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def damaged(frame: bytes) -> bytes:
    """The frame with one bit of its last byte inverted, which TCP's checksum detects."""
    return frame[:-1] + bytes([frame[-1] ^ 0x01])
