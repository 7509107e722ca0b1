"""The plan of a network: nodes, ports and links, and the paths, broadcast domains and forwarding tables they imply."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan.link import Impairment

if TYPE_CHECKING:
    from collections.abc import Iterable


#: The name of the namespace that contains all switches.
MIDDLE = "middle"
#: In broadcast domains of up to this many hosts, the MAC address of every neighbour is set in advance. n hosts need
#: n² entries: in larger domains they use ARP, as on any Ethernet.
MESH = 128


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
    commands: list[str] = msgspec.field(default_factory=list)  #: of a host or router: shell commands of its class

    @property
    def addresses(self) -> list[str]:
        """Its IP addresses; its name resolves to the first one."""
        return [address.partition("/")[0] for port in self.ports for address in port.addresses]


class NetworkPlan(msgspec.Struct):
    """All nodes and links, in the order of the Topo."""

    nodes: dict[str, NodePlan]
    links: list[tuple[PortPlan, PortPlan]]
    bottleneck: list[tuple[str, str]]
    notes: list[str] = msgspec.field(default_factory=list)  #: what the Topo asks for and is not applied, in sentences
    #: Interfaces of switches that the spanning tree does not use: nothing is forwarded through them.
    blocked: set[str] = msgspec.field(default_factory=set)

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
                if one.node == here and other.node not in ways and one.name not in self.blocked:
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
        """The forwarding table of each switch: the port for each MAC address. The switches form no loop."""
        by_name = {port.name: (port, peer) for ends in self.links for port, peer in (ends, ends[::-1])}
        table: dict[str, list[tuple[PortPlan, str]]] = {
            name: [] for name, n in self.nodes.items() if n.kind == "switch"
        }
        for start, found in table.items():
            for entry in self.nodes[start].ports:
                todo = [] if entry.name in self.blocked else [by_name[entry.name][1]]
                while todo:
                    peer = todo.pop()
                    if peer.node not in table:
                        found.append((entry, peer.mac))
                        continue
                    todo += [
                        by_name[p.name][1]
                        for p in self.nodes[peer.node].ports
                        if p.name != peer.name and p.name not in self.blocked
                    ]
        return table


def _some(names: Iterable[str], most: int = 10) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f", ... ({len(every)} in total)" if len(every) > most else "")
