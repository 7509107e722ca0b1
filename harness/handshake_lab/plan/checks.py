"""Checking what is wanted of a network before any kernel is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.network.impairments import place
from handshake_lab.plan import from_topo
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.link import LinkSpec
from handshake_lab.plan.load_topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_requests(topology: str, links: Iterable[str], faults: Iterable[str]) -> from_topo.NetworkPlan:
    """Refuse what the network would refuse, at once and where the user sees it.

    Args:
        topology: As for `load_topology`.
        links: As on the command line, one each.
        faults: As on the command line, one each.

    Returns:
        The network that would be made.

    Raises:
        UsageError: The first of them that cannot be meant.
    """
    planned = from_topo.from_topo(load_topology(topology))
    requests = [LinkSpec.parse(text, field="--link") for text in links if text.strip()]
    place(planned, requests)
    for text in faults:
        check_fault(planned, Fault.parse(text, field="--fault"), field="--fault")
    return planned


def check_fault(planned: from_topo.NetworkPlan, fault: Fault, *, field: str = "fault") -> None:
    """Refuse a fault that names what the topology does not have.

    Raises:
        UsageError: It names no host of the network.
    """
    for word, name in (("from", fault.sender), ("to", fault.receiver)):
        if name and planned.node(name, f"{field} {word}").kind != "host":
            raise UsageError(f"{field} {word}", name, "is not an end host", "drop SYN nth=1 from h1")
