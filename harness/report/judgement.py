"""What a caller has found about a run, as plain values for a report to show."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

import msgspec

from harness.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finding(msgspec.Struct, frozen=True):
    """One line of a verdict. ``ok`` is None where it only tells something."""

    ok: bool | None
    text: str


class Judgement(msgspec.Struct, frozen=True):
    """A verdict on a run.

    ``ok`` is None where nothing was expected. ``expected`` maps an endpoint's place in
    `Record.endpoints` to the states it should have gone through, the starting one first.
    """

    ok: bool | None = None
    summary: str = ""
    findings: tuple[Finding, ...] = ()
    expected: dict[int, tuple[State, ...]] = {}


class Claim(msgspec.Struct, frozen=True):
    """A documented claim and what measuring it said; ``evidence`` tells the nuance or the contradiction."""

    id: str
    text: str
    verdict: Literal["holds", "nuance", "fails", "open"]
    evidence: str = ""


class Covered(msgspec.Struct, frozen=True):
    """How often an edge of the state diagram was taken."""

    edge: str
    old: State
    new: State
    times: int
    section: str = ""


class Mark(msgspec.Struct, frozen=True):
    """One state of a list, held against what was expected.

    ``place`` is its index in `Endpoint.states`, None where it was expected and never came.
    ``ok`` is None where nothing was expected of the endpoint. ``parts`` marks the first place at
    which expectation and reality part.
    """

    state: State
    place: int | None
    ok: bool | None
    parts: bool = False


def marks(observed: Sequence[State], expected: Sequence[State] | None) -> list[Mark]:
    """Hold the states an endpoint went through against those it should have gone through."""
    if expected is None:
        return [Mark(state, place, None) for place, state in enumerate(observed)]
    out: list[Mark] = []
    matcher = SequenceMatcher(None, list(observed), list(expected), autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            out += [Mark(observed[place], place, ok=True) for place in range(i1, i2)]
            continue
        out += [Mark(state, None, ok=False) for state in expected[j1:j2]]
        out += [Mark(observed[place], place, ok=False) for place in range(i1, i2)]
    for index, mark in enumerate(out):
        if mark.ok is False:
            out[index] = msgspec.structs.replace(mark, parts=True)
            break
    return out
