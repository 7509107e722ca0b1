"""Checks of a network that are made before a kernel is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.link import LinkSpec
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.plan.placement import place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.plan.network_plan import NetworkPlan


def parse_links(texts: Iterable[str]) -> tuple[LinkSpec, ...]:
    """The values of ``--link``; empty ones are left out.

    Raises:
        UsageError: One is invalid.
    """
    return tuple(LinkSpec.parse(text, field="--link") for text in texts if text.strip())


def parse_faults(texts: Iterable[str]) -> tuple[Fault, ...]:
    """The values of ``--fault``.

    Raises:
        UsageError: One is invalid.
    """
    return tuple(Fault.parse(text, field="--fault") for text in texts)


def check_requests(topology: str, links: Iterable[LinkSpec], faults: Iterable[Fault]) -> NetworkPlan:
    """Check a topology, its links and its faults, as the network itself would.

    Args:
        topology: As for `load_topology`.
        links: Impairments of its links.
        faults: Faults on its segments.

    Returns:
        The plan of the network.

    Raises:
        UsageError: A value is invalid; the error names the first one.
    """
    planned = from_topo(load_topology(topology))
    place(planned, links)
    for fault in faults:
        check_fault(planned, fault, field="--fault")
    return planned


def check_fault(planned: NetworkPlan, fault: Fault, *, field: str = "fault") -> None:
    """Check that the nodes of a fault exist in the topology.

    Raises:
        UsageError: One of them is not an end host of the network. What is injected may be from a router, or for one.
    """
    for word, name in (("from", fault.sender), ("to", fault.receiver)):
        kinds = ("host", "router") if fault.action == "inject" else ("host",)
        if name and planned.node(name, f"{field} {word}").kind not in kinds:
            raise UsageError(f"{field} {word}", name, "is not an end host", "drop SYN nth=1 from h1")


def check_running(fault: Fault, *, field: str = "fault") -> None:
    """Check that a fault can be activated during a run.

    Raises:
        UsageError: It is for the last segment of its kind, which only a run without the fault shows.
    """
    if fault.last:
        raise UsageError(
            f"{field} nth",
            str(fault),
            "is for the last segment, which is not known during a run (handshake demo and record make a run "
            "without the fault first)",
            "a number from the ladder of a run without the fault: nth=2, or #11",
        )
