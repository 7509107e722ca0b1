"""Convert a Mininet Topo to the plan of a network. Pure, so that it can be inspected and tested.

Names, port numbers and IP addresses are those that stock Mininet assigns (mininet/topo.py, mininet/net.py); MAC
addresses are a fixed function of node and port.
"""

from __future__ import annotations

import ipaddress
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan.link import EXAMPLES, Impairment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The network from which hosts are given addresses, as in stock Mininet.
BASE = "10.0.0.0/8"
_ANYWHERE = "0.0.0.0"  # noqa: S104 -- a destination, not an address to bind to
#: Lower interface indexes are left to the interfaces that the kernel creates in a new namespace (lo, tunnels).
_FIRST_INDEX = 100
_LONGEST_NAME = 15  # IFNAMSIZ - 1
_NODE_NAME = re.compile(r"[A-Za-z0-9_.]{1,15}")
#: In broadcast domains of up to this many hosts, the MAC address of every neighbour is set in advance. n hosts need
#: n² entries: in larger domains they use ARP, as on any Ethernet.
MESH = 128


class MininetTopo(Protocol):
    """The part of mininet.topo.Topo that is used."""

    def nodes(self, sort: bool = True) -> list[str]: ...  # noqa: D102
    def isSwitch(self, n: str) -> bool: ...  # noqa: D102, N802
    def nodeInfo(self, name: str) -> dict[str, Any]: ...  # noqa: D102, N802
    def links(self, *, withInfo: bool) -> list[tuple[str, str, dict[str, Any]]]: ...  # noqa: D102, N803


class PortPlan(msgspec.Struct):
    """One end of a link."""

    name: str
    node: str
    index: int  #: its interface index, chosen in advance
    mac: str
    addresses: list[str]  #: "10.0.0.1/8", ...
    impairment: Impairment  #: of the packets that it sends
    peer: str = ""  #: the name of the other end


class NodePlan(msgspec.Struct):
    """A host, a router or a switch."""

    name: str
    kind: str  #: "host", "router" or "switch"
    ports: list[PortPlan]
    routes: list[tuple[str, int, str]]  #: (network, prefix, gateway)
    index: int = 0  #: of a switch: the interface index of its bridge
    rules: str = ""  #: of a router: the rules of its packet filter, in the syntax of nft
    masquerade: str = ""  #: of a router: the interface whose address replaces those of the hosts behind it
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Its IP addresses; its name stands for the first one."""
        return [address.partition("/")[0] for port in self.ports for address in port.addresses]


class NetworkPlan(msgspec.Struct):
    """All nodes and links, in the order of the Topo."""

    nodes: dict[str, NodePlan]
    links: list[tuple[PortPlan, PortPlan]]
    bottleneck: list[tuple[str, str]]

    def node(self, name: str, field: str = "node") -> NodePlan:
        """A node by name.

        Raises:
            UsageError: There is no node with this name.
        """
        found = self.nodes.get(name)
        if found is None:
            raise UsageError(
                field, name, f"is not a node of this network (its nodes: {_some(self.nodes)})", next(iter(self.nodes))
            )
        return found

    def between(self, first: str, second: str, field: str = "link") -> tuple[PortPlan, PortPlan]:
        """The ends of the link between two nodes, that of the first node first.

        Raises:
            UsageError: One of the nodes does not exist, or no link connects them.
        """
        self.node(first, field)
        self.node(second, field)
        for one, other in self.links:
            if (one.node, other.node) == (first, second):
                return one, other
            if (one.node, other.node) == (second, first):
                return other, one
        names = [f"{one.node}-{other.node}" for one, other in self.links]
        raise UsageError(
            field, f"{first}-{second}", f"is not a link of this network (its links: {_some(names)})", names[0]
        )

    def path(self, sender: str, receiver: str) -> list[PortPlan]:
        """The sending ports on the shortest path from one node to another.

        Raises:
            UsageError: One of the nodes does not exist, or no path connects them.
        """
        self.node(sender, "path")
        self.node(receiver, "path")
        ways: dict[str, list[PortPlan]] = {sender: []}
        waiting = deque([sender])
        while waiting:
            here = waiting.popleft()
            for one, other in (pair for ends in self.links for pair in (ends, ends[::-1])):
                if one.node == here and other.node not in ways:
                    ways[other.node] = [*ways[here], one]
                    waiting.append(other.node)
        if receiver not in ways:
            raise UsageError("path", f"{sender}-{receiver}", "are not connected by a path", "h1-h2")
        return ways[receiver]

    def port(self, name: str) -> PortPlan:
        """A port by the name of its interface."""
        return next(port for ends in self.links for port in ends if port.name == name)

    def edge_ports(self) -> list[tuple[PortPlan, PortPlan]]:
        """The ports of switches and routers that are connected to a host, each with the port of the host."""
        found = []
        for ends in self.links:
            for port, peer in (ends, ends[::-1]):
                if self.nodes[port.node].kind != "host" and self.nodes[peer.node].kind == "host":
                    found.append((port, peer))
        return found

    def domains(self) -> list[list[str]]:
        """The broadcast domains: for each, its ports of hosts and routers."""
        group: dict[str, set[str]] = {}
        for name, node in self.nodes.items():
            if node.kind == "switch":
                group[name] = {name}
        found: list[list[str]] = []
        for one, other in self.links:
            if one.node in group and other.node in group:
                merged = group[one.node] | group[other.node]
                for name in merged:
                    group[name] = merged
        members: dict[int, list[str]] = {}
        for ends in self.links:
            for port, peer in (ends, ends[::-1]):
                if port.node not in group and peer.node in group:
                    members.setdefault(id(group[peer.node]), []).append(port.name)
            one, other = ends
            if one.node not in group and other.node not in group:
                found.append([one.name, other.name])
        return [*members.values(), *found]

    def forwarding(self) -> dict[str, list[tuple[PortPlan, str]]]:
        """The forwarding table of each switch: the port for each MAC address.

        Raises:
            UsageError: The switches form a loop, in which frames would circulate indefinitely.
        """
        by_name = {port.name: (port, peer) for ends in self.links for port, peer in (ends, ends[::-1])}
        table: dict[str, list[tuple[PortPlan, str]]] = {
            name: [] for name, n in self.nodes.items() if n.kind == "switch"
        }
        for start, found in table.items():
            for entry in self.nodes[start].ports:
                seen = {start}
                todo = [by_name[entry.name][1]]
                while todo:
                    peer = todo.pop()
                    if peer.node not in table:
                        found.append((entry, peer.mac))
                        continue
                    if peer.node in seen:
                        raise UsageError(
                            "topology",
                            f"{start} and {peer.node}",
                            "are switches in a loop, in which frames circulate indefinitely",
                            "a tree of switches, or routers between them",
                        )
                    seen.add(peer.node)
                    todo += [by_name[p.name][1] for p in self.nodes[peer.node].ports if p.name != peer.name]
        return table


def _some(names: Iterable[str], most: int = 10) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f", ... ({len(every)} in total)" if len(every) > most else "")


def from_topo(topo: MininetTopo) -> NetworkPlan:
    """Plan the network that a Topo describes.

    Raises:
        UsageError: A name is too long for an interface, an address or a parameter of a link is invalid, or the
            switches form a loop.
    """
    nodes: dict[str, NodePlan] = {}
    names = topo.nodes()
    links = topo.links(withInfo=True)
    degree: dict[str, int] = {}
    for one, other, _ in links:
        degree[one] = degree.get(one, 0) + 1
        degree[other] = degree.get(other, 0) + 1
    hosts = 0
    for name in names:
        if not _NODE_NAME.fullmatch(name):
            raise UsageError("node", name, "is not a name of up to 15 letters and digits", "h1")
        info = topo.nodeInfo(name)
        if topo.isSwitch(name):
            nodes[name] = NodePlan(name, "switch", [], [])
            continue
        hosts += 1
        kind = "router" if _forwards(info, degree.get(name, 0)) else "host"
        nodes[name] = NodePlan(name, kind, [], _routes(name, info), extra=dict(info))
        nodes[name].rules = str(info.get("nft") or "")
        nodes[name].masquerade = str(info.get("masquerade") or "")
        # Mininet reserves an address for every host, even if the host has its own.
        info.setdefault("ip", _nth_address(hosts) if kind == "host" or "ip" in info else None)
        nodes[name].extra["ip"] = info["ip"]
    plan = NetworkPlan(nodes, [], [tuple(pair) for pair in getattr(topo, "bottleneck", [])])
    for one, other, info in links:
        first, second = _link(plan, one, other, info)
        if nodes[first.node].kind == nodes[second.node].kind == "host":
            plan.links += _add_wire(plan, first, second)
        else:
            plan.links.append((first, second))
    _number(plan)
    plan.forwarding()
    return plan


def _forwards(info: Mapping[str, Any], degree: int) -> bool:
    made_by = info.get("cls")
    named = "router" in getattr(made_by, "__name__", "").lower() or "nat" in getattr(made_by, "__name__", "").lower()
    return bool(info.get("router", named and degree > 1))


def _nth_address(number: int) -> str:
    network = ipaddress.ip_network(BASE)
    return f"{network[number]}/{network.prefixlen}"


def _routes(name: str, info: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Default routes in Mininet's syntax ("via 10.0.1.1"), and others as (network, gateway)."""
    found: list[tuple[str, int, str]] = []
    for key, everything in (("defaultRoute", _ANYWHERE), ("defaultRoute6", "::")):
        words = str(info.get(key) or "").split()
        if "via" in words[:-1]:
            found.append((everything, 0, words[words.index("via") + 1]))
        elif words and words[0] != "dev":
            raise UsageError(f"{name} {key}", info[key], "does not name a gateway", "via 10.0.1.1")
    for target, gateway in info.get("routes", ()):
        network = ipaddress.ip_network(target)
        found.append((str(network.network_address), network.prefixlen, gateway))
    for _, _, gateway in found:
        _address(f"{name} gateway", f"{gateway}/32" if ":" not in gateway else f"{gateway}/128")
    return found


def _add_wire(plan: NetworkPlan, one: PortPlan, other: PortPlan) -> list[tuple[PortPlan, PortPlan]]:
    """Insert a switch with two ports into a link between two hosts.

    The impairment of each host's interface is moved to the port of the switch that sends to the other host.
    """
    name = next(f"w{n}" for n in range(1, len(plan.nodes) + 2) if f"w{n}" not in plan.nodes)
    near = PortPlan(f"{name}-eth1", name, 0, "", [], other.impairment, one.name)
    far = PortPlan(f"{name}-eth2", name, 0, "", [], one.impairment, other.name)
    plan.nodes[name] = NodePlan(name, "switch", [near, far], [])
    one.impairment = other.impairment = Impairment()
    one.peer, other.peer = near.name, far.name
    return [(one, near), (far, other)]


#: Mininet's names for properties of a link (mininet/link.py, TCIntf.config).
_MININET_WORDS = ("bw", "max_queue_size")
#: Parameters that do not change the properties of a link: which shaper is used, which offloads.
_MININET_MEANS = ("use_hfsc", "use_htb", "use_tbf", "speedup", "latency_ms", "gro", "txo", "rxo", "cls", "fast")


def impairment_of(params: Mapping[str, Any], field: str) -> Impairment:
    """The impairment in the parameters of a link or a port, with Mininet's names or this project's.

    Mininet's ``loss`` is a number in percent, its ``bw`` one in Mbit/s; strings have units.

    Raises:
        UsageError: As `Impairment.of`.
    """
    wanted: dict[str, object] = {key: params[key] for key in EXAMPLES if params.get(key) is not None}
    if isinstance(wanted.get("loss"), int | float) and not isinstance(wanted["loss"], bool):
        wanted["loss"] = f"{wanted['loss']:.7f}%"
    if params.get("bw") is not None:
        wanted["rate"] = f"{params['bw']}mbit"
    if params.get("max_queue_size") is not None:
        wanted["limit"] = params["max_queue_size"]
    return Impairment.of(wanted, spell=f"{field} {{}}")


def _link(plan: NetworkPlan, one: str, other: str, info: dict[str, Any]) -> tuple[PortPlan, PortPlan]:
    if info.get("node1", one) != one:
        one, other = other, one
    ends = []
    for name, suffix in ((one, "1"), (other, "2")):
        node = plan.nodes[name]
        params = {**{k: v for k, v in info.items() if k not in _MININET_MEANS}, **(info.get("params" + suffix) or {})}
        number = info.get("port" + suffix, len(node.ports))
        interface = info.get("intfName" + suffix) or f"{name}-eth{number}"
        if len(interface) > _LONGEST_NAME:
            raise UsageError(
                "node", name, f"gives the interface name {interface!r}, which is longer than 15 characters", "h1"
            )
        addresses = []
        if node.kind != "switch":
            first = node.extra if not node.ports else {}
            addresses = [str(v) for v in (params.get("ip") or first.get("ip"),) if v]
            addresses += [str(v) for v in (params.get("ip6") or first.get("ip6"),) if v]
            # The name of a node that has an IPv6 address stands for that address.
            addresses.reverse()
        for address in addresses:
            _address(f"{interface} ip", address)
        mac = str(params.get("addr" + suffix) or params.get("mac") or "")
        impairment = impairment_of(params, f"{one}-{other}")
        port = PortPlan(interface, name, 0, mac, addresses, impairment)
        node.ports.append(port)
        ends.append(port)
    ends[0].peer, ends[1].peer = ends[1].name, ends[0].name
    return ends[0], ends[1]


def _address(field: str, text: str) -> None:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise UsageError(field, text, "is not an address with its prefix length", "10.0.0.1/24") from None
    if "/" not in text:
        raise UsageError(field, text, "has no prefix length", f"{text}/24")


def _number(plan: NetworkPlan) -> None:
    """Choose interface indexes and MAC addresses.

    All indexes are different, even in different namespaces. The kernel treats a veth pair whose ends have the same
    index as a real device, and waits up to a second before it uses a link that has come up (net/core/link_watch.c,
    linkwatch_urgent_event).
    """
    index = _FIRST_INDEX
    for number, node in enumerate(plan.nodes.values(), 1):
        if node.kind == "switch":
            index += 1
            node.index = index
        for position, port in enumerate(node.ports):
            index += 1
            port.index = index
            if not port.mac:
                # 02: a locally administered address; then the node's number and the port's.
                raw = (2 << 40) | (number << 16) | position
                port.mac = ":".join(f"{raw:012x}"[i : i + 2] for i in range(0, 12, 2))
