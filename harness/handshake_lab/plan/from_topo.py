"""Convert a Mininet Topo to the plan of a network. Pure, so that it can be inspected and tested.

Names, port numbers and IP addresses are those that stock Mininet assigns (mininet/topo.py, mininet/net.py); MAC
addresses are a fixed function of node and port.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Protocol

from handshake_lab.errors import UsageError
from handshake_lab.plan import node_class
from handshake_lab.plan.link import EXAMPLES, Impairment
from handshake_lab.plan.nearest_name import hint
from handshake_lab.plan.network_plan import NetworkPlan, NodePlan, PortPlan
from handshake_lab.plan.spanning_tree import remove_loops

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
    notes: list[str] = []
    links = [_in_order(*link) for link in topo.links(withInfo=True)]
    interfaces = _interfaces(links)
    hosts = 0
    for name in topo.nodes():
        if not _NODE_NAME.fullmatch(name):
            raise UsageError("node", name, "is not a name of up to 15 letters and digits", "h1")
        info = topo.nodeInfo(name)
        if topo.isSwitch(name):
            nodes[name] = NodePlan(name, "switch", [], [], extra=dict(info))
            notes += _notes_of_switch(name, info)
            continue
        hosts += 1
        ports = [interface for interface, _ in interfaces.get(name, ())]
        commands = node_class.config_commands(name, info, interfaces.get(name, []))
        kind = "router" if _forwards(info, commands, len(ports)) else "host"
        nodes[name] = NodePlan(name, kind, [], _routes(name, info, ports), extra=dict(info))
        nodes[name].commands = [*_device_routes(info), *commands]
        nodes[name].rules = str(info.get("nft") or "")
        nodes[name].masquerade = str(info.get("masquerade") or "")
        notes += _notes_of_host(name, info)
        # Mininet reserves an address for every host, even if the host has its own.
        info.setdefault("ip", _nth_address(hosts) if kind == "host" or "ip" in info else None)
        nodes[name].extra["ip"] = _with_prefix(info["ip"])
    if not hosts:
        raise UsageError("topology", type(topo).__name__, "has no hosts", "self.addHost('h1')")
    plan = NetworkPlan(nodes, [], [tuple(pair) for pair in getattr(topo, "bottleneck", [])], notes=notes)
    for one, other, info in links:
        first, second = _link(plan, one, other, info)
        if nodes[first.node].kind == nodes[second.node].kind == "host":
            plan.links += _add_wire(plan, first, second)
        else:
            plan.links.append((first, second))
    remove_loops(plan)
    _number(plan)
    return plan


def _in_order(one: str, other: str, info: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A link in the order of its ``node1`` and ``node2``, to which its parameters refer."""
    return (other, one, info) if info.get("node1", one) != one else (one, other, info)


def _interface_name(name: str, info: Mapping[str, Any], suffix: str, number: int) -> str:
    return str(info.get("intfName" + suffix) or f"{name}-eth{info.get('port' + suffix, number)}")


def _interfaces(links: Iterable[tuple[str, str, dict[str, Any]]]) -> dict[str, list[tuple[str, str]]]:
    """The names and addresses of the interfaces that links give to each node."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one, other, info in links:
        for name, suffix in ((one, "1"), (other, "2")):
            known = found.setdefault(name, [])
            address = (info.get("params" + suffix) or {}).get("ip") or ""
            known.append((_interface_name(name, info, suffix, len(known)), str(address)))
    return found


def _forwards(info: Mapping[str, Any], commands: Sequence[str], degree: int) -> bool:
    if node_class.forwards(commands):
        return True
    made_by = info.get("cls")
    named = "router" in getattr(made_by, "__name__", "").lower() or "nat" in getattr(made_by, "__name__", "").lower()
    return bool(info.get("router", named and degree > 1))


def _nth_address(number: int) -> str:
    network = ipaddress.ip_network(BASE)
    return f"{network[number]}/{network.prefixlen}"


def _device(words: Sequence[str]) -> str:
    """The interface in ``dev h1-eth0`` or ``h1-eth0``, as Mininet takes it for a default route."""
    return words[1] if len(words) == 2 and words[0] == "dev" else words[0] if len(words) == 1 else ""


def _device_routes(info: Mapping[str, Any]) -> list[str]:
    """The commands for default routes to an interface, which has no gateway."""
    words = {
        option: str(info.get(key) or "").split() for key, option in (("defaultRoute", "-4"), ("defaultRoute6", "-6"))
    }
    return [
        f"ip {option} route replace default dev {_device(found)}" for option, found in words.items() if _device(found)
    ]


def _routes(name: str, info: Mapping[str, Any], interfaces: Collection[str]) -> list[tuple[str, int, str]]:
    """Default routes in Mininet's syntax ("via 10.0.1.1"), and others as (network, gateway)."""
    found: list[tuple[str, int, str]] = []
    for key, everything in (("defaultRoute", _ANYWHERE), ("defaultRoute6", "::")):
        words = str(info.get(key) or "").split()
        if "via" in words[:-1]:
            found.append((everything, 0, words[words.index("via") + 1]))
        elif words and _device(words) not in interfaces:
            reason = "does not name a gateway, nor an interface of this node"
            raise UsageError(f"{name} {key}", info[key], reason, "via 10.0.1.1")
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


#: Parameters of a link that are accepted in addition to its properties (`EXAMPLES`): Mininet's names for properties,
#: addresses and ends; and parameters without effect, such as the shaper and the offloads.
_LINK_WORDS = frozenset(
    (
        *("bw", "max_queue_size", "ip", "ip6", "mac", "addr1", "addr2", "intfName1", "intfName2", "port1", "port2"),
        *("node1", "node2", "params1", "params2", "cls", "cls1", "cls2", "intf", "fast", "up", "key"),
        *("use_hfsc", "use_htb", "use_tbf", "latency_ms", "gro", "txo", "rxo", "disable_gro"),
    )
)
#: Parameters of a host that are accepted: they are applied, or have no effect because each host has a namespace.
_HOST_WORDS = frozenset(
    (
        *("ip", "ip6", "mac", "defaultRoute", "defaultRoute6", "routes", "router", "nft", "masquerade", "cls"),
        *("inNamespace", "isSwitch", "lo"),
    )
)
_NOT_LIMITED = "the processor's time of a host is not limited"
#: Parameters without which a link would behave differently, with the reason why they are refused.
_REFUSED = {
    "enable_ecn": "is refused: queues here do not mark segments (RED); they drop what does not fit",
    "enable_red": "is refused: queues here do not drop early (RED); they drop what does not fit",
}
#: Parameters that Mininet knows and this project does not apply, with the reason.
_NOT_APPLIED = {
    "speedup": "both directions of a link have the rate bw",
    "cpu": _NOT_LIMITED,
    "cores": _NOT_LIMITED,
    "sched": _NOT_LIMITED,
    "period_us": _NOT_LIMITED,
    "privateDirs": "hosts share their files",
}


def _notes_of_link(where: str, params: Mapping[str, Any]) -> list[str]:
    """What of a link's parameters is not applied.

    Raises:
        UsageError: The link would behave differently without it.
    """
    for key, reason in _REFUSED.items():
        if params.get(key):
            example = (
                f"without {key} in addLink(), or the script itself, with Mininet's own queues: handshake run FILE.py"
            )
            raise UsageError(f"link {where} {key}", params[key], reason, example)
    notes = _not_applied(f"link {where}", params, {*_LINK_WORDS, *EXAMPLES})
    for key in ("cls", "cls1", "cls2"):
        made_by = params.get(key)
        if isinstance(made_by, type) and node_class.is_own(made_by):
            notes.append(f"link {where}: its class {made_by.__name__} is not supported; only its parameters are used")
    return notes


def _notes_of_host(name: str, info: Mapping[str, Any]) -> list[str]:
    made_by = info.get("cls")
    if not (isinstance(made_by, type) and node_class.is_own(made_by)):
        # A class of the file may take any parameters.
        return _not_applied(name, info, _HOST_WORDS)
    more = node_class.does_more(made_by)
    return [f"{name}: of its class {made_by.__name__}, only config() is supported, not {more}()"] * bool(more)


def _notes_of_switch(name: str, info: Mapping[str, Any]) -> list[str]:
    made_by = info.get("cls")
    if isinstance(made_by, type) and node_class.is_own(made_by):
        return [f"{name}: its class {made_by.__name__} is not supported: the switch forwards by hardware addresses"]
    return []


def _not_applied(where: str, params: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    known = set(known)
    return [
        f"{where}: {key}={value!r} has no effect: {_NOT_APPLIED.get(key) or hint(key, sorted(known))}"
        for key, value in params.items()
        if key not in known and value not in (None, False, 0)
    ]


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
    ends = []
    for name, suffix in ((one, "1"), (other, "2")):
        node = plan.nodes[name]
        params = {**info, **(info.get("params" + suffix) or {})}
        plan.notes += [note for note in _notes_of_link(f"{one}-{other}", params) if note not in plan.notes]
        interface = _interface_name(name, info, suffix, len(node.ports))
        if len(interface) > _LONGEST_NAME:
            raise UsageError(
                "node", name, f"gives the interface name {interface!r}, which is longer than 15 characters", "h1"
            )
        addresses = []
        if node.kind != "switch":
            first = node.extra if not node.ports else {}
            addresses = [str(v) for v in (params.get("ip") or first.get("ip"),) if v]
            addresses += [str(v) for v in (params.get("ip6") or first.get("ip6"),) if v]
            # The name of a node that has an IPv6 address resolves to this address.
            addresses.reverse()
        for address in addresses:
            _address(f"{interface} ip", address)
        mac = str(params.get("addr" + suffix) or params.get("mac") or (not node.ports and node.extra.get("mac")) or "")
        impairment = impairment_of(params, f"{one}-{other}")
        port = PortPlan(interface, name, 0, mac, addresses, impairment)
        node.ports.append(port)
        ends.append(port)
    ends[0].peer, ends[1].peer = ends[1].name, ends[0].name
    return ends[0], ends[1]


def _with_prefix(address: object) -> object:
    """A host's address; if it has no prefix length, with that of Mininet (mininet/node.py, setIP())."""
    if not isinstance(address, str) or not address or "/" in address or ":" in address:
        return address
    return f"{address}/{ipaddress.ip_network(BASE).prefixlen}"


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
