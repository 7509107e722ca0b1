"""Requests that make interfaces, addresses, routes and neighbours.

Each function returns one request; `handshake_lab.linux.netlink.connection.Netlink.ask` sends them, many
together. Interfaces are named, or numbered where a name would cost a lookup.

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
    """An address's family and its bytes."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return family, socket.inet_pton(family, ip)


class LinkEnd(msgspec.Struct, frozen=True):
    """One end of a wire: where it is to be, and as what."""

    name: str
    index: int  #: chosen by the caller, so that nothing has to be looked up afterwards
    mac: str
    space: int  #: a descriptor of its namespace
    bridge: int  #: the index of the bridge it is a port of; 0 for none


def bridge(name: str, index: int) -> Request:
    """A bridge that is up and sends nothing of its own accord: no spanning tree, no queries."""
    data = nested(
        _INFO_DATA,
        u32(_BR_FORWARD_DELAY, 0),
        u32(_BR_STP, 0),
        attribute(_BR_MCAST_SNOOPING, b"\0"),
    )
    body = _link(index, _UP, _UP) + text(_IFNAME, name) + nested(_LINKINFO, text(_INFO_KIND, "bridge"), data)
    return Request(NEWLINK, CREATE | EXCL, body, f"making the bridge {name}")


def veth(one: LinkEnd, other: LinkEnd) -> list[Request]:
    """A wire, each end made at once in the namespace where it belongs, and a port of its bridge.

    The end at a bridge is up; one elsewhere is brought up from its own namespace.
    """
    # Only the first end can be told its bridge, and that it is up, while it is made.
    if other.bridge and not one.bridge:
        one, other = other, one
    info = nested(
        _LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_PEER, _end(other, attached=False)))
    )
    what = f"making the link {one.name} - {other.name}"
    made = [Request(NEWLINK, CREATE | EXCL, _end(one, attached=True) + info, what)]
    if other.bridge:
        body = _link(other.index, _UP, _UP) + u32(_MASTER, other.bridge)
        made.append(Request(NEWLINK, 0, body, f"making {other.name} a port of its switch"))
    return made


def _end(end: LinkEnd, *, attached: bool) -> bytes:
    # One queue each: the default is one per processor, and none of them is ever used here.
    up = _UP if attached and end.bridge else 0
    body = _link(end.index, up, up) + text(_IFNAME, end.name) + u32(_NET_NS_FD, end.space)
    body += attribute(_ADDRESS, mac_bytes(end.mac)) + u32(_NUM_RX, 1) + u32(_NUM_TX, 1)
    return body + (u32(_MASTER, end.bridge) if attached and end.bridge else b"")


def wire(name: str, other: str) -> Request:
    """A wire with both ends in the socket's own namespace, and down."""
    data = nested(_INFO_DATA, attribute(_VETH_PEER, _link() + text(_IFNAME, other)))
    info = nested(_LINKINFO, text(_INFO_KIND, "veth"), data)
    return Request(NEWLINK, CREATE | EXCL, _link() + text(_IFNAME, name) + info, f"making the wire {name} - {other}")


def device(kind: str, name: str) -> Request:
    """A device that needs no more than its kind: ``ifb``, ``dummy``; it comes up at once."""
    body = _link(0, _UP, _UP) + text(_IFNAME, name) + nested(_LINKINFO, text(_INFO_KIND, kind))
    return Request(NEWLINK, CREATE | EXCL, body, f"making the {kind} device {name}")


def remove(name: str) -> Request:
    """Take an interface away."""
    return Request(DELLINK, 0, _link() + text(_IFNAME, name), f"removing {name}")


def switch_on(name: str, *, quiet: bool = False) -> Request:
    """Bring an interface up.

    Args:
        name: The interface.
        quiet: It never asks who has an address, and joins no multicast groups for its own
            addresses or as a router: nothing is sent but what programs send.
    """
    flags, change = (_UP | _NOARP, _UP | _NOARP | _MULTICAST) if quiet else (_UP, _UP)
    return Request(NEWLINK, 0, _link(0, flags, change) + text(_IFNAME, name), f"bringing {name} up")


DISABLED, FORWARDING = 0, 3


def port_state(index: int, state: int, where: str) -> Request:
    """Set whether a bridge's port takes and gives frames: `DISABLED` or `FORWARDING`."""
    body = struct.pack("=BxHiII", _FAMILY_BRIDGE, 0, index, 0, 0) + nested(
        _PROTINFO, attribute(_PORT_STATE, bytes([state]))
    )
    return Request(SETLINK, 0, body, f"{'cutting' if state == DISABLED else 'mending'} the link at {where}")


def address(index: int, ip: str, prefix: int, where: str) -> Request:
    """Give an interface an address, usable at once (no duplicate address detection)."""
    family, raw = ip_bytes(ip)
    body = struct.pack("=BBBBi", family, prefix, _NODAD if family == socket.AF_INET6 else 0, 0, index)
    body += attribute(1, raw) + attribute(2, raw)
    if family == socket.AF_INET:
        broadcast = int.from_bytes(raw, "big") | ((1 << (32 - prefix)) - 1)
        body += attribute(4, broadcast.to_bytes(4, "big"))
    return Request(NEWADDR, CREATE | REPLACE, body, f"giving {where} the address {ip}/{prefix}")


def route(destination: str, prefix: int, via: str, where: str) -> Request:
    """A route to a network (``0.0.0.0``/0: the default) by way of a gateway."""
    family, raw = ip_bytes(destination)
    _, gateway = ip_bytes(via)
    # Table main (254), protocol static (4), scope universe (0), type unicast (1).
    body = struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 254, 4, 0, 1, 0)
    if prefix:
        body += attribute(1, raw)
    body += attribute(5, gateway)
    return Request(NEWROUTE, CREATE | REPLACE, body, f"telling {where} that {destination}/{prefix} is by {via}")


def neighbour(index: int, ip: str, mac: str) -> Request:
    """Say for good which hardware address an IP address has, so that nobody asks on the wire."""
    family, raw = ip_bytes(ip)
    body = struct.pack("=BxHiHBB", family, 0, index, _NUD_PERMANENT, 0, 1)
    body += attribute(1, raw) + attribute(2, mac_bytes(mac))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"the neighbour entry for {ip}")


def forward(port: int, mac: str) -> Request:
    """Say for good behind which port of its bridge a hardware address is, so that nothing is flooded."""
    body = struct.pack("=BxHiHBB", _FAMILY_BRIDGE, 0, port, _NUD_NOARP, _NTF_MASTER, 0)
    body += attribute(2, mac_bytes(mac))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"the forwarding entry for {mac}")


def not_ready(netlink: Netlink, wanted: set[int]) -> set[int]:
    """Of some interfaces, those that would not carry a frame yet.

    A link that has come up is used only once the kernel's link watch has run: until then
    a wire's queue loses everything, and a bridge's port is disabled.
    """
    waiting = set(wanted)
    for answer in netlink.dump(GETLINK, _link(), "looking at the interfaces"):
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
