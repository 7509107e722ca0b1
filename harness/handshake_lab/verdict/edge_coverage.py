"""Edge coverage: which edges of the state diagram the tests took, like line coverage for code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.tcp.diagram.lookup import EDGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.tcp.diagram.edge import Edge
    from handshake_lab.tcp.states import State

#: How many tests are named beside an edge.
_NAMED = 2


class Coverage:
    """The edges taken so far, with the tests that took them and the observers that reported them."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, set[str]]] = {}  # edge -> test -> witnesses

    def add(self, test: str, edges: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Add the record of a test."""
        for edge, witnesses in edges:
            self._taken.setdefault(edge, {}).setdefault(test, set()).update(witnesses)

    @property
    def covered(self) -> list[str]:
        """The edges that were taken, of those that Linux has, in the diagram's order."""
        return [edge.id for edge in EDGES if edge.in_linux and edge.id in self._taken]

    @property
    def total(self) -> int:
        """How many edges Linux has."""
        return sum(edge.in_linux for edge in EDGES)

    @property
    def percent(self) -> float:
        """The percentage of Linux's edges that were taken."""
        return 100 * len(self.covered) / self.total

    def lines(self) -> Iterator[str]:
        """A table: every edge, the tests that took it, and the observers that reported it; or why it was not taken."""
        for edge in EDGES:
            way = f"{edge.old}→{edge.new}" if edge.moves else f"{edge.old} stays"
            yield f"{'✓' if edge.id in self._taken else '·'} {edge.id:<7}{way:<27}{self._takers(edge.id, edge.absent)}"

    def _takers(self, edge: str, absent: str) -> str:
        tests = self._taken.get(edge, {})
        if not tests:
            return f"not in Linux: {absent}" if absent else "not taken"
        names = sorted(test.rpartition("::")[2] for test in tests)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        seen = ", ".join(self._witnesses(edge)) or "none: inferred"
        return f"{', '.join(names[:_NAMED])}{more}; seen by {seen}"

    def _witnesses(self, edge: str) -> list[str]:
        return sorted(set().union(*self._taken.get(edge, {}).values()))

    def taken(self) -> Iterator[tuple[Edge, list[str], list[str]]]:
        """Every edge of the diagram, the tests that took it, and the observers that reported it."""
        for edge in EDGES:
            yield edge, sorted(self._taken.get(edge.id, {})), self._witnesses(edge.id)

    def steps_taken(self) -> list[tuple[State, State]]:
        """The transitions taken, each once, as pairs of states in the order of the diagram."""
        taken = [(edge.old, edge.new) for edge in EDGES if edge.id in self._taken and edge.moves]
        return list(dict.fromkeys(taken))
