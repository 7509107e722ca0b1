"""The paths from one state to another, to bridge states that were not observed."""

from __future__ import annotations

from functools import cache

from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.tcp.states import State


@cache
def steps(*, passive: bool) -> dict[State, frozenset[State]]:
    """The states that each state can be followed by in Linux.

    A passively opened connection that returns to LISTEN has ended: no path continues.
    """
    out: dict[State, set[State]] = {state: set() for state in State}
    for edge in EDGES:
        if edge.moves and edge.in_linux and edge.old is not State.TIME_WAIT:
            out[edge.old].add(edge.new)
    out[State.TIME_WAIT] = {State.CLOSED}
    out[State.LISTEN] = {State.SYN_RECEIVED, State.CLOSED}
    if not passive:
        out[State.SYN_RECEIVED].discard(State.LISTEN)
    return {state: frozenset(reached) for state, reached in out.items()}


@cache
def ways(old: State, new: State, *, passive: bool) -> tuple[tuple[State, ...], ...]:
    """All paths from ``old`` to ``new`` that contain no state twice, each without ``old`` itself.

    LISTEN and CLOSED can only be the beginning or the end of a path.
    """
    found: list[tuple[State, ...]] = []

    def walk(at: State, way: tuple[State, ...]) -> None:
        for reached in sorted(steps(passive=passive)[at]):
            if reached is new:
                found.append((*way, new))
            elif reached not in (*way, old, State.LISTEN, State.CLOSED):
                walk(reached, (*way, reached))

    walk(old, ())
    return tuple(sorted(found, key=len))
