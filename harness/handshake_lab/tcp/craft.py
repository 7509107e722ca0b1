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


def segment(
    ethernet: bytes, source: Address, target: Address, kind: str, seq: int, ack: int | None, payload: bytes = b""
) -> bytes:
    """Make a whole frame with a TCP segment without options.

    Args:
        ethernet: The frame's header, 14 bytes.
        source: The source address, which may be another host's.
        target: The destination address.
        kind: Its flags, as `handshake_lab.tcp.flags.names` spells them: "SYN-ACK"; "none" for none.
        seq: Its sequence number.
        ack: Its acknowledgment number; None for none.
        payload: Its data.
    """
    flags = sum(_BITS[word] for word in kind.split("-")) if kind != NO_FLAGS else 0
    if ack is not None:
        flags |= _BITS["ACK"]
    family = socket.AF_INET6 if ":" in source.ip else socket.AF_INET
    ends = socket.inet_pton(family, source.ip) + socket.inet_pton(family, target.ip)
    tcp = struct.pack("!HHIIBBHHH", source.port, target.port, seq, ack or 0, 5 << 4, flags, _WINDOW, 0, 0) + payload
    pseudo = ends + (struct.pack("!IxxxB" if family == socket.AF_INET6 else "!xBH", *_tail(family, len(tcp))))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    if family == socket.AF_INET6:
        ip = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + ends
    else:
        # Don't fragment, TTL 64; the identification 0 that such packets may have (RFC 6864).
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + ends
        ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    return ethernet + ip + tcp


def _tail(family: int, length: int) -> tuple[int, int]:
    return (length, 6) if family == socket.AF_INET6 else (6, length)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def damaged(frame: bytes) -> bytes:
    """The frame with one bit of its last byte inverted, which TCP's checksum detects."""
    return frame[:-1] + bytes([frame[-1] ^ 0x01])
