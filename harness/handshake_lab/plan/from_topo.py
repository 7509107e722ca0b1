"""Convert a Mininet Topo to the plan of a network. Pure, so that it can be inspected and tested.

Names, port numbers and IP addresses are those that stock Mininet assigns (mininet/topo.py, mininet/net.py); MAC
addresses are a fixed function of node and port.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Protocol

from handshake_lab.errors import UsageError
from handshake_lab.plan.link import EXAMPLES, Impairment
from handshake_lab.plan.network_plan import NetworkPlan, NodePlan, PortPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The network from which hosts are given addresses, as in stock Mininet.
BASE = "10.0.0.0/8"
_ANYWHERE = "0.0.0.0"  # noqa: S104 -- a destination, not an address to bind to
#: Lower interface indexes are left to the interfaces that the kernel creates in a new namespace (lo, tunnels).
_FIRST_INDEX = 100
_LONGEST_NAME = 15  # IFNAMSIZ - 1
_NODE_NAME = re.compile(r"[A-Za-z0-9_.]{1,15}")


class MininetTopo(Protocol):
    """The part of mininet.topo.Topo that is used."""

    def nodes(self, sort: bool = True) -> list[str]: ...  # noqa: D102
    def isSwitch(self, n: str) -> bool: ...  # noqa: D102, N802
    def nodeInfo(self, name: str) -> dict[str, Any]: ...  # noqa: D102, N802
    def links(self, *, withInfo: bool) -> list[tuple[str, str, dict[str, Any]]]: ...  # noqa: D102, N803


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
