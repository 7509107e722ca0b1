"""Segments that a program of a host makes up and sends through a raw socket: its kernel knows nothing of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from handshake_lab.tcp import craft

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.tcp.address import Address

#: Bytes of an Ethernet header, which a raw socket does not take.
_ETHERNET = bytes(14)


def send(
    net: Net, node: str, source: Address, target: Address, kind: str, seq: int, ack: int | None, payload: bytes = b""
) -> None:
    """Send a segment from a host, as if from any address.

    Args:
        net: The network.
        node: The host that sends it.
        source: Whom it claims to be from.
        target: To whom it goes.
        kind: Its flags: ``ACK``, ``RST-ACK``.
        seq: Its absolute sequence number.
        ack: Its absolute acknowledgment number; None for none.
        payload: Its data.
    """
    packet = craft.segment(_ETHERNET, source, target, kind, seq % 2**32, ack, payload)[len(_ETHERNET) :]
    with net.network[node].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (target.ip, 0))
