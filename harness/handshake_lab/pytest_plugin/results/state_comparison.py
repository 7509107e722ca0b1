"""A comparison of states that failed: an explanation, and marks for the ladder."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, TypeGuard

from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

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
