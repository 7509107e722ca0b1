"""A comparison of states that failed: an explanation, and marks for the ladder."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, TypeGuard

from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Record

_NAMES = frozenset(map(str, State))


def compared(left: object, right: object) -> tuple[list[str], list[str]] | None:
    """The recorded and the expected states of a comparison; None if it does not compare states."""
    if not (_states(left) and _states(right)):
        return None
    recorded, expected = left, right
    if not any(type(state) is State for state in recorded) and any(type(state) is State for state in expected):
        recorded, expected = right, left
    return [str(state) for state in recorded], [str(state) for state in expected]


def _states(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each in _NAMES for each in value)


def explanation(recorded: Sequence[str], expected: Sequence[str], lang: str = "en") -> list[str]:
    """The lines that pytest prints, in a language of `handshake_lab.report.text.translations`."""
    from handshake_lab.report.text.translations import words

    w = words(lang)
    lines = [
        w("states.other"),
        w("states.recorded", states=" → ".join(recorded)),
        w("states.wanted", states=" → ".join(expected)),
    ]
    for place, (was, should) in enumerate(zip_longest(recorded, expected, fillvalue=w("states.nothing")), 1):
        if was != should:
            lines.append(w("states.part_at", place=place, was=was, should=should))
            break
    return lines


def expected_of(record: Record, recorded: Sequence[str], expected: Sequence[str]) -> dict[int, tuple[State, ...]]:
    """The endpoint whose states were compared, with its expected states, for a verdict.

    If a test compares only a part of an endpoint's states, the other states count as expected. Empty if several
    endpoints had the recorded states.
    """
    found = {}
    for place, endpoint in enumerate(record.endpoints):
        states = endpoint.states
        for start in range(len(states) - len(recorded) + 1):
            if list(states[start : start + len(recorded)]) == list(recorded):
                wanted = [*states[:start], *map(State, expected), *states[start + len(recorded) :]]
                found[place] = tuple(wanted)
                break
    return found if len(found) == 1 else {}
