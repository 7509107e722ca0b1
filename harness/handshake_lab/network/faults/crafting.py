"""Crafts the frame that an ``inject`` sends, from the known sequence numbers of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.linux.netlink.links import mac_bytes
from handshake_lab.tcp import craft
from handshake_lab.tcp.icmp import code_of
from handshake_lab.tcp.sequence_numbers import add, before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.network.faults.connection_numbers import ConnectionEnd
    from handshake_lab.plan.fault import Fault


class Egress(msgspec.Struct, frozen=True):
    """An exit of the middle: to one host, through one interface of one namespace."""

    host: str
    space: str
    interface: str
    mac: str  #: the host's
    addresses: tuple[str, ...]  #: the host's addresses at this link
    via: str  #: the router's hardware address there; empty if it is a switch


def craft_for(
    fault: Fault,
    sender: ConnectionEnd,
    receiver: ConnectionEnd,
    edges: Mapping[bytes, Egress],
    addresses: Mapping[str, set[str]],
) -> tuple[Egress, bytes]:
    """The segment or the ICMP error that an ``inject`` crafts for a connection, and the exit through which it leaves.

    An end that has not received a segment yet (SYN-SENT) does not expect a particular number: the distance is then
    relative to 0.

    Args:
        fault: The fault.
        sender: The end that appears as the sender.
        receiver: The end that receives it.
        edges: All exits.
        addresses: The addresses of each node, because an ICMP error may come from any node.

    Raises:
        UsageError: The receiver's version of IP does not have such an ICMP error.
    """
    edge = next(edge for edge in edges.values() if receiver.address.ip in edge.addresses)
    # After a switch the source address is the sender's; after a router it is the router's.
    near = next((known.mac for known in edges.values() if sender.address.ip in known.addresses), edge.mac)
    six = ":" in receiver.address.ip
    ethernet = mac_bytes(edge.mac) + mac_bytes(edge.via or near) + (b"\x86\xdd" if six else b"\x08\x00")
    if fault.kind.startswith("ICMP"):
        kind = fault.kind.removeprefix("ICMP-").replace("-", " ")
        code = code_of(kind, version=6 if six else 4)
        if code is None:
            version = "ICMPv6" if six else "ICMP"
            raise UsageError(
                "fault", str(fault), f"names an error that {version} does not have", "ICMP-port-unreachable"
            )
        known = [ip for ip in sorted(addresses.get(fault.sender, ())) if (":" in ip) == six]
        # The last segment, if it is in flight: errors about others are ignored (net/ipv4/tcp_ipv4.c, tcp_v4_err()).
        waiting = receiver.acked is None or before(receiver.acked, receiver.sent or 0)
        base = receiver.last if waiting else receiver.sent
        seq = fault.seq if fault.absolute else add(base or 0, fault.seq)
        quoted = (receiver.address, sender.address, seq)
        return edge, craft.icmp_error(ethernet, known[0] if known else sender.address.ip, quoted, *code, fault.mtu)
    seq = fault.seq if fault.absolute else add(receiver.given or 0, fault.seq)
    ack = None
    if fault.ack is not None or "ACK" in fault.kind:
        ack = (fault.ack or 0) if fault.absolute else add(receiver.sent or 0, fault.ack or 0)
    extra = {} if fault.window is None else {"window": fault.window}
    frame = craft.segment(
        ethernet, sender.address, receiver.address, fault.kind, seq, ack, fault.payload, options=fault.options, **extra
    )
    return edge, frame
