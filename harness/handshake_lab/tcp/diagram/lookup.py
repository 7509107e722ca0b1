"""The state diagram of RFC 9293 as data, and how Linux implements it.

Edges have stable ids: "1" to "20" are Figure 5's, from "21" on come its notes, the
document's text and what Linux adds; one number may cover several edges ("26.ES", "26.F1").
"""

from __future__ import annotations

from handshake_lab.tcp.diagram.edge import SHORT, Edge, Trigger
from handshake_lab.tcp.diagram.figure5 import FIGURE_5
from handshake_lab.tcp.diagram.linux_edges import BEYOND
from handshake_lab.tcp.states import State

__all__ = ["BY_ID", "EDGES", "FIGURE_5", "SHORT", "Edge", "Trigger", "edge_of", "edges_between"]

#: All edges, in order of their numbers.
EDGES: tuple[Edge, ...] = FIGURE_5 + BEYOND

#: The edges by their ids.
BY_ID: dict[str, Edge] = {edge.id: edge for edge in EDGES}

_BETWEEN: dict[tuple[State, State], tuple[Edge, ...]] = {
    (old, new): tuple(edge for edge in EDGES if edge.moves and (edge.old, edge.new) == (old, new))
    for old in State
    for new in State
}


def edges_between(old: State, new: State) -> tuple[Edge, ...]:
    """All edges from one state to another."""
    return _BETWEEN[old, new]


def edge_of(old: State, new: State, why: Trigger | None = None) -> str | None:
    """The id of the edge that a connection took.

    Args:
        old: The state it left.
        new: The state it entered.
        why: What triggered it; None if that is not known.

    Returns:
        The id; None if there is no such edge, or if several edges are possible.
    """
    edges = _BETWEEN[old, new]
    if why is None:
        return edges[0].id if len(edges) == 1 else None
    return next((edge.id for edge in edges if edge.why is why), None)
