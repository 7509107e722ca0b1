"""Loops of switches: they are refused, or opened at the links that the Spanning Tree Protocol would block."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from handshake_lab.plan.network_plan import NetworkPlan, PortPlan

_Link = tuple["PortPlan", "PortPlan"]


def remove_loops(plan: NetworkPlan) -> None:
    """Block interfaces of switches until no loop is left, if the topology requests it (``stp=True``).

    The result is that of the protocol after convergence (IEEE 802.1D-2004, 17.1): the first switch of each group is the
    root, every other switch uses its shortest path to the root, and the remaining links are blocked. The tree is fixed:
    it does not change when a link is cut.

    Raises:
        UsageError: Switches form a loop, and none of them has ``stp=True``.
    """
    links = [ends for ends in plan.links if all(plan.nodes[port.node].kind == "switch" for port in ends)]
    reached: dict[str, _Link | None] = {}
    for root in (name for name, node in plan.nodes.items() if node.kind == "switch"):
        if root in reached:
            continue
        reached[root] = None
        waiting = deque([root])
        while waiting:
            here = waiting.popleft()
            for ends in links:
                there = _far(ends, here)
                if there is not None and there not in reached:
                    reached[there] = ends
                    waiting.append(there)
    tree = [ends for ends in reached.values() if ends is not None]
    for ends in links:
        if any(ends is used for used in tree):
            continue
        loop = _loop(ends, reached)
        if not any(plan.nodes[name].extra.get("stp") for name in loop):
            raise UsageError(
                "topology",
                ", ".join(loop),
                "are switches in a loop, in which frames circulate indefinitely",
                "a tree of switches, routers between them, or the Spanning Tree Protocol: addSwitch('s1', stp=True)",
            )
        plan.blocked |= {port.name for port in ends}


def _far(ends: _Link, here: str) -> str | None:
    one, other = ends
    if one.node == here:
        return other.node
    return one.node if other.node == here else None


def _loop(closing: _Link, reached: dict[str, _Link | None]) -> list[str]:
    """The switches of the loop that a link closes, in the order of the loop."""

    def up(name: str) -> list[str]:
        way = [name]
        while (ends := reached[way[-1]]) is not None:
            way.append(ends[0].node if ends[1].node == way[-1] else ends[1].node)
        return way

    one, other = (up(port.node) for port in closing)
    common = next(name for name in one if name in other)
    return [*reversed(one[: one.index(common) + 1]), *other[: other.index(common)]]
