"""ICMP errors about TCP segments and UDP datagrams (RFC 792, RFC 4443): the kind of error, and what it quotes."""

from __future__ import annotations

import struct
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import EXTENSIONS
from handshake_lab.tcp.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Callable

_ETHERNET, _IPV6_HEADER = 14, 40
_IPV4, _IPV6 = 0x0800, 0x86DD
_ICMP, _ICMPV6, _TCP = 1, 58, 6
#: An error quotes at least the ports and the sequence number of the segment.
_QUOTED = struct.Struct("!HHI")

#: The kind of error by type and code; a type without a code matches all of its codes.
_KINDS_4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 5): "source route failed",
    (3, 6): "network unknown",
    (3, 7): "host unknown",
    (3, 8): "host isolated",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 11): "network unreachable for the type of service",
    (3, 12): "host unreachable for the type of service",
    (3, 13): "administratively prohibited",
    (3, 14): "host precedence violation",
    (3, 15): "precedence cutoff",
    (4,): "source quench",
    (11, 0): "time exceeded",
    (11, 1): "reassembly time exceeded",
    (12,): "parameter problem",
}
_KINDS_6 = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 2): "beyond the scope of the source",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address refused",
    (1, 6): "route rejected",
    (2,): "packet too big",
    (3, 0): "hop limit exceeded",
    (3, 1): "reassembly time exceeded",
    (4,): "parameter problem",
}
#: The kinds of errors, of both versions.
KINDS = frozenset({*_KINDS_4.values(), *_KINDS_6.values()})
#: The errors that contain the MTU of the link for which the segment was too large.
TOO_BIG = ("fragmentation needed", "packet too big")


def code_of(kind: str, *, version: int) -> tuple[int, int] | None:
    """The type and code of a kind of error in ICMP (``version`` 4) or ICMPv6 (6); None if it does not have it."""
    kinds: dict[tuple[int, ...], str] = {**(_KINDS_4 if version == 4 else _KINDS_6)}
    return next(((key[0], key[1] if len(key) > 1 else 0) for key, name in kinds.items() if name == kind), None)


class IcmpError(msgspec.Struct, frozen=True):
    """An ICMP error about a TCP segment or a UDP datagram.

    ``src`` and ``dst`` are those of the segment that it quotes, ``seq`` is its sequence number, 0 for a datagram.
    ``mtu`` in bytes is that of the link for which it was too large, 0 in other errors.
    """

    kind: str
    src: Address
    dst: Address
    seq: int
    mtu: int = 0

    @property
    def name(self) -> str:
        """The kind, and the MTU if there is one."""
        return f"{self.kind}, MTU {self.mtu}" if self.mtu else self.kind


def decode_error(frame: bytes, about: Literal["TCP", "UDP"] = "TCP") -> IcmpError | None:
    """Decode an Ethernet frame with an ICMP error.

    Args:
        frame: The frame from the destination address on; it may be cut after the quoted ports.
        about: The protocol that it must be about.

    Returns:
        The error; None if the frame holds another ICMP message, or an error about another protocol.
    """
    if len(frame) < _ETHERNET + 20:
        return None
    protocol = frame[12] << 8 | frame[13]
    if protocol == _IPV4 and frame[23] == _ICMP:
        at, kinds = _ETHERNET + ((frame[14] & 15) << 2), _KINDS_4
    elif protocol == _IPV6 and frame[20] == _ICMPV6:
        at, kinds = _ETHERNET + _IPV6_HEADER, _KINDS_6
    else:
        return None
    if len(frame) < at + 8:
        return None
    kind = kinds.get((frame[at], frame[at + 1])) or kinds.get((frame[at],))
    wanted = _TCP if about == "TCP" else UDP
    quoted = _quoted_4(frame[at + 8 :], wanted) if kinds is _KINDS_4 else _quoted_6(frame[at + 8 :], wanted)
    if kind is None or quoted is None:
        return None
    word = frame[at + 6 : at + 8] if kinds is _KINDS_4 else frame[at + 4 : at + 8]
    source, target, seq = quoted
    seq = seq if about == "TCP" else 0
    return IcmpError(kind, source, target, seq, int.from_bytes(word, "big") if kind in TOO_BIG else 0)


def _quoted_4(packet: bytes, protocol: int) -> tuple[Address, Address, int] | None:
    if len(packet) < 20 or packet[9] != protocol or (packet[6] & 0x1F) | packet[7]:
        return None
    return _ends(packet[(packet[0] & 15) << 2 :], packet[12:16], packet[16:20], inet_ntoa)


def _quoted_6(packet: bytes, protocol: int) -> tuple[Address, Address, int] | None:
    if len(packet) < _IPV6_HEADER:
        return None
    following, at = packet[6], _IPV6_HEADER
    while following in EXTENSIONS and at + 8 <= len(packet):
        following, at = packet[at], at + (packet[at + 1] + 1) * 8
    if following != protocol:
        return None
    return _ends(packet[at:], packet[8:24], packet[24:40], lambda raw: inet_ntop(AF_INET6, raw))


def _ends(
    header: bytes, source: bytes, target: bytes, spell: Callable[[bytes], str]
) -> tuple[Address, Address, int] | None:
    if len(header) < _QUOTED.size:
        return None
    from_port, to_port, seq = _QUOTED.unpack_from(header)
    return Address(spell(source), from_port), Address(spell(target), to_port), seq
