"""Requests that create interfaces, addresses, routes and neighbour entries, as pyroute2's messages.

Each function returns one request; `handshake_lab.linux.netlink.connection.Netlink.ask` sends many of them
together. Interfaces are given by name, or by index where a name would require a lookup.

Source: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from pyroute2.netlink import NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTM_SETLINK,
    rt_proto,
    rt_scope,
    rt_type,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_MULTICAST, IFF_NOARP, IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import NTF_MASTER, NUD_NOARP, NUD_PERMANENT, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from handshake_lab.linux.netlink.connection import Request, request
from handshake_lab.linux.netlink.pyroute2_gaps import with_field

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink

_MAIN_TABLE = 254
#: States of a bridge's port (include/uapi/linux/if_bridge.h, BR_STATE_*).
DISABLED, FORWARDING = 0, 3


def mac_bytes(mac: str) -> bytes:
    """``02:00:00:00:00:01`` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


class LinkEnd(msgspec.Struct, frozen=True):
    """One end of a veth pair: its namespace, name and index."""

    name: str
    index: int  #: chosen by the caller, so that no lookup is necessary afterwards
    mac: str
    space: int  #: a descriptor of its namespace
    bridge: int  #: the index of the bridge whose port it is; 0 for none


def _link(attributes: list[Any], *, index: int = 0, flags: int = 0, change: int = 0, family: int = 0) -> ifinfmsg:
    message = ifinfmsg()
    message.update(family=family, index=index, flags=flags, change=change, attrs=attributes)
    return message


def _info(kind: str, *data: Any) -> tuple[str, Any]:
    """What a link is: its kind, and the options of that kind."""
    options = [("IFLA_INFO_DATA", {"attrs": list(data)})] if data else []
    return "IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *options]}


def bridge(name: str, index: int) -> Request:
    """A bridge that is up and originates no frames: no spanning tree, no multicast queries."""
    info = _info("bridge", ("IFLA_BR_FORWARD_DELAY", 0), ("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0))
    message = _link([("IFLA_IFNAME", name), info], index=index, flags=IFF_UP, change=IFF_UP)
    return request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, f"creating the bridge {name}")


def veth(one: LinkEnd, other: LinkEnd) -> list[Request]:
    """A veth pair; each end is created in its final namespace, and as a port of its bridge.

    The end at a bridge is up; another end must be brought up from its own namespace.
    """
    # Only the first end can get its bridge and be up at creation.
    if other.bridge and not one.bridge:
        one, other = other, one
    peer = ("VETH_INFO_PEER", {"index": other.index, "attrs": _end(other)})
    attached = [("IFLA_MASTER", one.bridge)] if one.bridge else []
    up = IFF_UP if one.bridge else 0
    message = _link([*_end(one), *attached, _info("veth", peer)], index=one.index, flags=up, change=up)
    what = f"creating the link {one.name} - {other.name}"
    made = [request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, what)]
    if other.bridge:
        message = _link([("IFLA_MASTER", other.bridge)], index=other.index, flags=IFF_UP, change=IFF_UP)
        made.append(request(message, RTM_NEWLINK, 0, f"adding {other.name} to its switch"))
    return made


def _end(end: LinkEnd) -> list[tuple[str, Any]]:
    return [
        ("IFLA_IFNAME", end.name),
        ("IFLA_NET_NS_FD", end.space),
        ("IFLA_ADDRESS", end.mac),
        # One queue each: the default is one per processor, which is not needed here.
        ("IFLA_NUM_RX_QUEUES", 1),
        ("IFLA_NUM_TX_QUEUES", 1),
    ]


def veth_pair(name: str, other: str) -> Request:
    """A veth pair with both ends in the socket's own namespace, and down."""
    info = _info("veth", ("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", other)]}))
    message = _link([("IFLA_IFNAME", name), info])
    return request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, f"creating the pair {name} - {other}")


def device(kind: str, name: str) -> Request:
    """A device that needs only its kind: ``ifb``, ``dummy``; it is up."""
    message = _link([("IFLA_IFNAME", name), _info(kind)], flags=IFF_UP, change=IFF_UP)
    return request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, f"creating the {kind} device {name}")


def switch_on(name: str, *, quiet: bool = False) -> Request:
    """Bring an interface up.

    Args:
        name: The interface.
        quiet: The interface sends no ARP requests, and joins no multicast groups for its own
            addresses or as a router: only segments of programs are sent.
    """
    flags, change = (IFF_UP | IFF_NOARP, IFF_UP | IFF_NOARP | IFF_MULTICAST) if quiet else (IFF_UP, IFF_UP)
    return request(_link([("IFLA_IFNAME", name)], flags=flags, change=change), RTM_NEWLINK, 0, f"bringing {name} up")


def port_state(index: int, state: int, where: str) -> Request:
    """Set whether a bridge's port forwards frames: `DISABLED` or `FORWARDING`."""
    # Without the flag the kernel takes the attribute for the state itself (br_setlink(), net/bridge/br_netlink.c).
    options = ("IFLA_PROTINFO", {"attrs": [("IFLA_BRPORT_STATE", state)]}, NLA_F_NESTED)
    message = _link([options], family=socket.AF_BRIDGE, index=index)
    return request(message, RTM_SETLINK, 0, f"{'cutting' if state == DISABLED else 'restoring'} the link at {where}")


def address(index: int, ip: str, prefix: int, where: str) -> Request:
    """Add an address to an interface, usable at once (no duplicate address detection)."""
    interface = ipaddress.ip_interface(f"{ip}/{prefix}")
    message = ifaddrmsg()
    attributes = [("IFA_ADDRESS", ip), ("IFA_LOCAL", ip)]
    if interface.version == 4:
        attributes.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
    message.update(
        family=_family(ip),
        prefixlen=prefix,
        flags=IFA_F_NODAD if interface.version == 6 else 0,
        index=index,
        attrs=attributes,
    )
    what = f"adding the address {ip}/{prefix} to {where}"
    return request(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, what)


def route(destination: str, prefix: int, via: str, where: str) -> Request:
    """A route to a network (``0.0.0.0``/0: the default) via a gateway."""
    message = rtmsg()
    message.update(
        family=_family(destination),
        dst_len=prefix,
        table=_MAIN_TABLE,
        proto=rt_proto["static"],
        scope=rt_scope["universe"],
        type=rt_type["unicast"],
        attrs=[*([("RTA_DST", destination)] if prefix else []), ("RTA_GATEWAY", via)],
    )
    what = f"routing {destination}/{prefix} of {where} via {via}"
    return request(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, what)


def neighbour(index: int, ip: str, mac: str) -> Request:
    """A permanent neighbour entry, so that no ARP or neighbour discovery is sent on the link."""
    data, what = _neighbour(ip, mac)
    return Request(with_field(data, ndmsg, "ifindex", index), what)


@lru_cache(4096)
def _neighbour(ip: str, mac: str) -> Request:
    message = ndmsg()
    message.update(
        family=_family(ip),
        state=NUD_PERMANENT,
        ndm_type=rt_type["unicast"],
        attrs=[("NDA_DST", ip), ("NDA_LLADDR", mac)],
    )
    return request(message, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, f"the neighbour entry for {ip}")


def forward(port: int, mac: str) -> Request:
    """A permanent forwarding entry of a bridge for a hardware address, so that no frame is flooded."""
    message = ndmsg()
    message.update(
        family=socket.AF_BRIDGE, ifindex=port, state=NUD_NOARP, flags=NTF_MASTER, attrs=[("NDA_LLADDR", mac)]
    )
    return request(message, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, f"the forwarding entry for {mac}")


def not_ready(netlink: Netlink, wanted: set[int]) -> set[int]:
    """Those of the given interfaces that cannot transmit frames yet.

    After a link has come up, it is usable only when the kernel's link watch has run: until then
    the queue of a veth device drops all frames, and a bridge's port is disabled.
    """
    waiting = set(wanted)
    for link in netlink.dump(request(_link([]), RTM_GETLINK, 0, "reading the interfaces")):
        if link["index"] not in waiting:
            continue
        if link.get_attr("IFLA_OPERSTATE") != "UP" or link.get_attr("IFLA_QDISC") == "noop":
            continue
        if link.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE") in (None, FORWARDING):
            waiting.discard(link["index"])
    return waiting


def indexes(netlink: Netlink) -> dict[str, int]:
    """The interfaces of the namespace: name to index."""
    answers = netlink.dump(request(_link([]), RTM_GETLINK, 0, "listing the interfaces"))
    return {link.get_attr("IFLA_IFNAME"): link["index"] for link in answers}


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
