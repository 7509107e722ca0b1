"""Decodes UDP datagrams (RFC 768), which captures contain in addition to TCP."""

from __future__ import annotations

from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import NamedTuple

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import EXTENSIONS

_ETHERNET, _HEADER = 14, 8
_IPV4, _IPV6, UDP = 0x0800, 0x86DD, 17


class Datagram(NamedTuple):
    """A datagram. ``length`` counts the bytes of its data by the UDP header, which begins at ``at`` in the frame."""

    src: Address
    dst: Address
    length: int
    at: int


def decode_datagram(frame: bytes) -> Datagram | None:
    """Decode an Ethernet frame.

    Args:
        frame: The frame from the destination address on; it may be cut after the UDP header.

    Returns:
        The datagram; None if the frame has no UDP header: another protocol, or a later fragment.
    """
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _IPV4 and len(frame) >= _ETHERNET + 20:
        # A later fragment has a fragment offset, and no UDP header.
        if frame[23] != UDP or (frame[20] & 0x1F) | frame[21]:
            return None
        at = _ETHERNET + ((frame[14] & 15) << 2)
        source, target = inet_ntoa(frame[26:30]), inet_ntoa(frame[30:34])
    elif kind == _IPV6 and len(frame) >= _ETHERNET + 40:
        at = _after_ipv6(frame)
        if not at:
            return None
        source, target = inet_ntop(AF_INET6, frame[22:38]), inet_ntop(AF_INET6, frame[38:54])
    else:
        return None
    if len(frame) < at + _HEADER:
        return None
    ports = [int.from_bytes(frame[place : place + 2], "big") for place in (at, at + 2, at + 4)]
    return Datagram(Address(source, ports[0]), Address(target, ports[1]), max(ports[2] - _HEADER, 0), at)


def _after_ipv6(frame: bytes) -> int:
    """Where UDP begins in an IPv6 frame; 0 if it does not."""
    following, at = frame[20], _ETHERNET + 40
    while following in EXTENSIONS and at + 8 <= len(frame):
        following, at = frame[at], at + (frame[at + 1] + 1) * 8
    return at if following == UDP else 0
