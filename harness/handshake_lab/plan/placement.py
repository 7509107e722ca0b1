"""Which direction of which link an impairment is for.

A request names a link (``h1-s1``), one of its directions (``h1>s1``), two hosts, or nothing: then it is for the
topology's bottleneck, or for every link between a host and the middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.plan.link import Impairment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.plan.network_plan import NetworkPlan

#: A direction of a link, given by the interface that sends into it.
Direction = str


def place(plan: NetworkPlan, requests: Iterable[LinkSpec]) -> dict[Direction, Impairment]:
    """Determine which directions of which links are impaired, and how.

    The topology's own parameters apply first; requests override them in their order.

    Raises:
        UsageError: A request names neither a link nor a path, or the combination of all requests
            is invalid for a direction: jitter without delay.
    """
    ports = {port.name: port for ends in plan.links for port in ends}
    wanted = {name: port.impairment for name, port in ports.items() if port.impairment}
    for request in requests:
        for name in directions(plan, request):
            wanted[name] = wanted.get(name, Impairment()).overlaid(request.impairment, request.off)
    for name, impairment in wanted.items():
        port = ports[name]
        impairment.checked({}, f"link {port.node}>{ports[port.peer].node} {{}}")
    return wanted


def directions(plan: NetworkPlan, request: LinkSpec) -> list[Direction]:
    """The directions to which a request applies.

    Raises:
        UsageError: It names nodes that no link connects.
    """
    if not request.first:
        if plan.bottleneck:
            return [port.name for one, other in plan.bottleneck for port in plan.between(one, other)]
        return [port.name for port, _host in plan.edge_ports()]
    found = [_direction(plan, request.first, request.second)]
    if request.both:
        found.append(_direction(plan, request.second, request.first))
    return found


def _direction(plan: NetworkPlan, sender: str, receiver: str) -> Direction:
    """The sending interface of a link, or of the last link of the path between two hosts."""
    one, other = plan.node(sender, "link"), plan.node(receiver, "link")
    neighbours = {port.peer for port in one.ports}
    if any(port.name in neighbours for port in other.ports):
        return plan.between(sender, receiver)[0].name
    if one.kind == other.kind == "host" and len(plan.edge_ports()) == 2:
        # From one host to another: the middle's port to the receiver. Segments of other hosts would
        # pass this port too, therefore this applies to networks with two hosts only.
        return next(port.name for port, peer in plan.edge_ports() if peer.node == receiver)
    return plan.between(sender, receiver)[0].name
