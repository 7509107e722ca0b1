"""Requests that create interfaces, addresses, routes and neighbour entries.

Each function returns one request; `handshake_lab.linux.netlink.connection.Netlink.ask` sends many of them
together. Interfaces are given by name, or by index where a name would require a lookup.

Source: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.linux.netlink.connection import (
    CREATE,
    EXCL,
    REPLACE,
    Request,
    attribute,
    attributes,
    nested,
    text,
    u32,
)

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR = 20
NEWROUTE = 24
NEWNEIGH = 28

_IFNAME, _MTU, _MASTER, _ADDRESS = 3, 4, 10, 1
_LINKINFO, _INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 18, 1, 2, 4, 5
_NET_NS_FD, _NUM_RX, _NUM_TX = 28, 32, 31
_VETH_PEER = 1
_UP, _NOARP, _MULTICAST = 1, 0x80, 0x1000
_QDISC, _OPERSTATE, _OPER_UP = 6, 16, 6

# Bridges: IFLA_BR_* and IFLA_BRPORT_*.
_BR_FORWARD_DELAY, _BR_AGEING, _BR_STP, _BR_MCAST_SNOOPING = 1, 4, 5, 23
_PROTINFO, _PORT_STATE = 12, 1

_FAMILY_BRIDGE = 7
_NUD_PERMANENT = 0x80
_NUD_NOARP = 0x40
_NTF_MASTER = 0x04
_NODAD = 0x02


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    """``02:00:00:00:00:01`` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def ip_bytes(ip: str) -> tuple[int, bytes]:
    """The family and the bytes of an address."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return family, socket.inet_pton(family, ip)


class LinkEnd(msgspec.Struct, frozen=True):
    """One end of a veth pair: its namespace, name and index."""

    name: str
    index: int  #: chosen by the caller, so that no lookup is necessary afterwards
    mac: str
    space: int  #: a descriptor of its namespace
    bridge: int  #: the index of the bridge whose port it is; 0 for none


def bridge(name: str, index: int) -> Request:
    """A bridge that is up and sends no frames of its own: no spanning tree, no multicast queries."""
    data = nested(
        _INFO_DATA,
        u32(_BR_FORWARD_DELAY, 0),
        u32(_BR_STP, 0),
        attribute(_BR_MCAST_SNOOPING, b"\0"),
    )
    body = _link(index, _UP, _UP) + text(_IFNAME, name) + nested(_LINKINFO, text(_INFO_KIND, "bridge"), data)
    return Request(NEWLINK, CREATE | EXCL, body, f"creating the bridge {name}")


def veth(one: LinkEnd, other: LinkEnd) -> list[Request]:
    """A veth pair; each end is created in its final namespace, and as a port of its bridge.

    The end at a bridge is up; another end must be brought up from its own namespace.
    """
    # Only the first end can get its bridge and be up at creation.
    if other.bridge and not one.bridge:
        one, other = other, one
    info = nested(
        _LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_PEER, _end(other, attached=False)))
    )
    what = f"creating the link {one.name} - {other.name}"
    made = [Request(NEWLINK, CREATE | EXCL, _end(one, attached=True) + info, what)]
    if other.bridge:
        body = _link(other.index, _UP, _UP) + u32(_MASTER, other.bridge)
        made.append(Request(NEWLINK, 0, body, f"adding {other.name} to its switch"))
    return made


def _end(end: LinkEnd, *, attached: bool) -> bytes:
    # One queue each: the default is one per processor, which is not needed here.
    up = _UP if attached and end.bridge else 0
    body = _link(end.index, up, up) + text(_IFNAME, end.name) + u32(_NET_NS_FD, end.space)
    body += attribute(_ADDRESS, mac_bytes(end.mac)) + u32(_NUM_RX, 1) + u32(_NUM_TX, 1)
    return body + (u32(_MASTER, end.bridge) if attached and end.bridge else b"")


def veth_pair(name: str, other: str) -> Request:
    """A veth pair with both ends in the socket's own namespace, and down."""
    data = nested(_INFO_DATA, attribute(_VETH_PEER, _link() + text(_IFNAME, other)))
    info = nested(_LINKINFO, text(_INFO_KIND, "veth"), data)
    return Request(NEWLINK, CREATE | EXCL, _link() + text(_IFNAME, name) + info, f"creating the pair {name} - {other}")


def device(kind: str, name: str) -> Request:
    """A device that needs only its kind: ``ifb``, ``dummy``; it is up."""
    body = _link(0, _UP, _UP) + text(_IFNAME, name) + nested(_LINKINFO, text(_INFO_KIND, kind))
    return Request(NEWLINK, CREATE | EXCL, body, f"creating the {kind} device {name}")


def remove(name: str) -> Request:
    """Remove an interface."""
    return Request(DELLINK, 0, _link() + text(_IFNAME, name), f"removing {name}")


def switch_on(name: str, *, quiet: bool = False) -> Request:
    """Bring an interface up.

    Args:
        name: The interface.
        quiet: The interface sends no ARP requests, and joins no multicast groups for its own
            addresses or as a router: only segments of programs are sent.
    """
    flags, change = (_UP | _NOARP, _UP | _NOARP | _MULTICAST) if quiet else (_UP, _UP)
    return Request(NEWLINK, 0, _link(0, flags, change) + text(_IFNAME, name), f"bringing {name} up")


DISABLED, FORWARDING = 0, 3


def port_state(index: int, state: int, where: str) -> Request:
    """Set whether a bridge's port forwards frames: `DISABLED` or `FORWARDING`."""
    body = struct.pack("=BxHiII", _FAMILY_BRIDGE, 0, index, 0, 0) + nested(
        _PROTINFO, attribute(_PORT_STATE, bytes([state]))
    )
    return Request(SETLINK, 0, body, f"{'cutting' if state == DISABLED else 'restoring'} the link at {where}")


def address(index: int, ip: str, prefix: int, where: str) -> Request:
    """Add an address to an interface, usable at once (no duplicate address detection)."""
    family, raw = ip_bytes(ip)
    body = struct.pack("=BBBBi", family, prefix, _NODAD if family == socket.AF_INET6 else 0, 0, index)
    body += attribute(1, raw) + attribute(2, raw)
    if family == socket.AF_INET:
        broadcast = int.from_bytes(raw, "big") | ((1 << (32 - prefix)) - 1)
        body += attribute(4, broadcast.to_bytes(4, "big"))
    return Request(NEWADDR, CREATE | REPLACE, body, f"adding the address {ip}/{prefix} to {where}")


def route(destination: str, prefix: int, via: str, where: str) -> Request:
    """A route to a network (``0.0.0.0``/0: the default) via a gateway."""
    family, raw = ip_bytes(destination)
    _, gateway = ip_bytes(via)
    # Table main (254), protocol static (4), scope universe (0), type unicast (1).
    body = struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 254, 4, 0, 1, 0)
    if prefix:
        body += attribute(1, raw)
    body += attribute(5, gateway)
    return Request(NEWROUTE, CREATE | REPLACE, body, f"routing {destination}/{prefix} of {where} via {via}")


def neighbour(index: int, ip: str, mac: str) -> Request:
    """A permanent neighbour entry, so that no ARP or neighbour discovery is sent on the link."""
    family, raw = ip_bytes(ip)
    body = struct.pack("=BxHiHBB", family, 0, index, _NUD_PERMANENT, 0, 1)
    body += attribute(1, raw) + attribute(2, mac_bytes(mac))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"the neighbour entry for {ip}")


def forward(port: int, mac: str) -> Request:
    """A permanent forwarding entry of a bridge for a hardware address, so that no frame is flooded."""
    body = struct.pack("=BxHiHBB", _FAMILY_BRIDGE, 0, port, _NUD_NOARP, _NTF_MASTER, 0)
    body += attribute(2, mac_bytes(mac))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"the forwarding entry for {mac}")


def not_ready(netlink: Netlink, wanted: set[int]) -> set[int]:
    """Those of the given interfaces that cannot transmit frames yet.

    After a link has come up, it is usable only when the kernel's link watch has run: until then
    the queue of a veth device drops all frames, and a bridge's port is disabled.
    """
    waiting = set(wanted)
    for answer in netlink.dump(GETLINK, _link(), "reading the interfaces"):
        index = int(struct.unpack_from("=i", answer, 4)[0])
        if index not in waiting:
            continue
        found = attributes(answer[16:])
        slave = attributes(attributes(found.get(_LINKINFO, b"")).get(_INFO_SLAVE_DATA, b""))
        up = found.get(_OPERSTATE) == bytes([_OPER_UP]) and found.get(_QDISC) != b"noop\0"
        if up and slave.get(_PORT_STATE, bytes([FORWARDING])) == bytes([FORWARDING]):
            waiting.discard(index)
    return waiting


def indexes(netlink: Netlink) -> dict[str, int]:
    """The interfaces of the namespace: name to index."""
    found = {}
    for answer in netlink.dump(GETLINK, _link(), "listing the interfaces"):
        index = struct.unpack_from("=i", answer, 4)[0]
        found[attributes(answer[16:])[_IFNAME].rstrip(b"\0").decode()] = int(index)
    return found
