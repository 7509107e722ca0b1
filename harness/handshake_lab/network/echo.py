"""ICMP echo from one host to another, without the program ping, which may not be installed."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.network.nodes import NetworkHost

#: Type of an echo request and of its reply, by address family (RFC 792, RFC 4443).
_TYPES = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
#: The id of every request; the time in its body distinguishes them.
_IDENTIFIER = 0x4C42


def echo(sender: NetworkHost, receiver: NetworkHost, timeout: float) -> float | None:
    """Send one echo request from a host to another.

    Args:
        sender: The host that sends it.
        receiver: The host to whose first address it is sent.
        timeout: The maximum wait for the reply, in seconds of the kernel's clock.

    Returns:
        The round-trip time in seconds; None if no reply arrived.
    """
    family = receiver.family
    request, reply = _TYPES[family]
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    token = struct.pack(">Q", time.monotonic_ns())  # not random, so that the run still depends on its seed only
    body = struct.pack(">HH", _IDENTIFIER, 1) + token
    with sender.socket(family, socket.SOCK_RAW, protocol) as raw:
        began = time.monotonic()
        try:
            # The kernel fills in the checksum of ICMPv6 (RFC 3542, section 3.1), not that of ICMP.
            raw.sendto(struct.pack(">BBH", request, 0, _checksum(request, body)) + body, (receiver.ip, 0))
        except OSError:
            return None  # no route to it
        while (left := began + timeout - time.monotonic()) > 0:
            raw.settimeout(left)
            try:
                data = raw.recv(2048)
            except TimeoutError:
                return None
            if family == socket.AF_INET:
                data = data[4 * (data[0] & 0xF) :]  # a raw IPv4 socket also receives the IP header
            if data[:1] == bytes([reply]) and data[4:].startswith(body):
                return time.monotonic() - began
    return None


def _checksum(kind: int, body: bytes) -> int:
    """The Internet checksum of a message (RFC 1071)."""
    words = struct.unpack(f">{2 + len(body) // 2}H", struct.pack(">BBH", kind, 0, 0) + body)
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
