"""From a Mininet Topo to what has to be made: pure, so that it can be looked at and tested.

Names, port numbers and addresses are those that stock Mininet would give
(mininet/topo.py, mininet/net.py), hardware addresses a fixed function of node and port.
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

#: The network from which hosts get addresses, as in stock Mininet.
BASE = "10.0.0.0/8"
_ANYWHERE = "0.0.0.0"  # noqa: S104 -- a destination, not something to bind to
#: Interface indexes below are left to what the kernel puts into a new namespace (lo, tunnels).
_FIRST_INDEX = 100
_LONGEST_NAME = 15  # IFNAMSIZ - 1
_NODE_NAME = re.compile(r"[A-Za-z0-9_.]{1,15}")
#: Every host learns every neighbour's hardware address up to this many in one broadcast
#: domain; n hosts need n² entries, so beyond it they ask by ARP as on any Ethernet.
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
    index: int  #: interface index in its namespace, chosen beforehand
    mac: str
    addresses: list[str]  #: "10.0.0.1/8", ...
    impairment: Impairment  #: of what leaves here
    peer: str = ""  #: the other end's name


class NodePlan(msgspec.Struct):
    """A host, a router or a switch."""

    name: str
    kind: str  #: "host", "router" or "switch"
    ports: list[PortPlan]
    routes: list[tuple[str, int, str]]  #: (network, prefix, gateway)
    index: int = 0  #: of a switch: its bridge's interface index
    rules: str = ""  #: of a router: its packet filter's, for nft
    masquerade: str = ""  #: of a router: the interface whose address it puts for those behind it
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """The node's IP addresses, the one its name stands for first."""
        return [address.partition("/")[0] for port in self.ports for address in port.addresses]


class NetworkPlan(msgspec.Struct):
    """Everything that has to be made, in the order of the Topo."""

    nodes: dict[str, NodePlan]
    links: list[tuple[PortPlan, PortPlan]]
    bottleneck: list[tuple[str, str]]

    def node(self, name: str, field: str = "node") -> NodePlan:
        """A node by name.

        Raises:
            UsageError: There is none of that name.
        """
        found = self.nodes.get(name)
        if found is None:
            raise UsageError(field, name, f"is not a node here (they are {_some(self.nodes)})", next(iter(self.nodes)))
        return found

    def between(self, first: str, second: str, field: str = "link") -> tuple[PortPlan, PortPlan]:
        """The two ends of the link between two nodes, the first node's first.

        Raises:
            UsageError: No such node, or no link between them.
        """
        self.node(first, field)
        self.node(second, field)
        for one, other in self.links:
            if (one.node, other.node) == (first, second):
                return one, other
            if (one.node, other.node) == (second, first):
                return other, one
        names = [f"{one.node}-{other.node}" for one, other in self.links]
        raise UsageError(field, f"{first}-{second}", f"is not a link here (they are {_some(names)})", names[0])

    def path(self, sender: str, receiver: str) -> list[PortPlan]:
        """The sending ports on the shortest way from one node to another.

        Raises:
            UsageError: No such node, or no way between them.
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
            raise UsageError("path", f"{sender}-{receiver}", "has no way through this network", "h1-h2")
        return ways[receiver]

    def port(self, name: str) -> PortPlan:
        """A port by its interface's name."""
        return next(port for ends in self.links for port in ends if port.name == name)

    def edge_ports(self) -> list[tuple[PortPlan, PortPlan]]:
        """The middle's ports that face a host, each with the host's own port."""
        found = []
        for ends in self.links:
            for port, peer in (ends, ends[::-1]):
                if self.nodes[port.node].kind != "host" and self.nodes[peer.node].kind == "host":
                    found.append((port, peer))
        return found

    def domains(self) -> list[list[str]]:
        """The broadcast domains: for each, the ports of hosts and routers that hear each other."""
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
        """For each switch: behind which of its ports each hardware address is.

        Raises:
            UsageError: The switches form a loop, in which frames would circle for ever.
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
                            "are switches in a loop, where frames circle for ever",
                            "a tree of switches, or routers between them",
                        )
                    seen.add(peer.node)
                    todo += [by_name[p.name][1] for p in self.nodes[peer.node].ports if p.name != peer.name]
        return table


def _some(names: Iterable[str], most: int = 10) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f", ... {len(every)} in all" if len(every) > most else "")


def from_topo(topo: MininetTopo) -> NetworkPlan:
    """Plan the network that a Topo describes.

    Raises:
        UsageError: A name too long for an interface, an address that is none, a
            parameter of a link that cannot be meant, switches in a loop.
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
        # Mininet counts an address for every host, also for those that bring their own.
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
    """Default routes as Mininet writes them ("via 10.0.1.1") and further ones as (network, gateway)."""
    found: list[tuple[str, int, str]] = []
    for key, everything in (("defaultRoute", _ANYWHERE), ("defaultRoute6", "::")):
        words = str(info.get(key) or "").split()
        if "via" in words[:-1]:
            found.append((everything, 0, words[words.index("via") + 1]))
        elif words and words[0] != "dev":
            raise UsageError(f"{name} {key}", info[key], "names no gateway", "via 10.0.1.1")
    for target, gateway in info.get("routes", ()):
        network = ipaddress.ip_network(target)
        found.append((str(network.network_address), network.prefixlen, gateway))
    for _, _, gateway in found:
        _address(f"{name} gateway", f"{gateway}/32" if ":" not in gateway else f"{gateway}/128")
    return found


def _add_wire(plan: NetworkPlan, one: PortPlan, other: PortPlan) -> list[tuple[PortPlan, PortPlan]]:
    """Give a link that joins two hosts directly a middle: a switch of two ports.

    What would have acted on a host's own interface acts at the wire's far port.
    """
    name = next(f"w{n}" for n in range(1, len(plan.nodes) + 2) if f"w{n}" not in plan.nodes)
    near = PortPlan(f"{name}-eth1", name, 0, "", [], other.impairment, one.name)
    far = PortPlan(f"{name}-eth2", name, 0, "", [], one.impairment, other.name)
    plan.nodes[name] = NodePlan(name, "switch", [near, far], [])
    one.impairment = other.impairment = Impairment()
    one.peer, other.peer = near.name, far.name
    return [(one, near), (far, other)]


#: Mininet's own names for properties of a link (mininet/link.py, TCIntf.config).
_MININET_WORDS = ("bw", "max_queue_size")
#: Its settings of how, not of what: which shaper, which offloads.
_MININET_MEANS = ("use_hfsc", "use_htb", "use_tbf", "speedup", "latency_ms", "gro", "txo", "rxo", "cls", "fast")


def impairment_of(params: Mapping[str, Any], field: str) -> Impairment:
    """The impairment in a link's or a port's parameters, in Mininet's words or in ours.

    Mininet's ``loss`` is a number of per cent, its ``bw`` one of Mbit/s; text has units.

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
            raise UsageError("node", name, f"makes the interface name {interface!r}, longer than 15 letters", "h1")
        addresses = []
        if node.kind != "switch":
            first = node.extra if not node.ports else {}
            addresses = [str(v) for v in (params.get("ip") or first.get("ip"),) if v]
            addresses += [str(v) for v in (params.get("ip6") or first.get("ip6"),) if v]
            # A node that is of IPv6 is meant by its IPv6 address.
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
    """Choose interface indexes and hardware addresses.

    No two interfaces have one index, though they are in different namespaces: the kernel
    takes a wire whose two ends have the same one for a real device, and lets up to a second
    pass before it uses a link that has come up (net/core/link_watch.c, linkwatch_urgent_event).
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
