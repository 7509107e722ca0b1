"""What was held against the documents, as plain values for a report to show."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Endpoint
    from handshake_lab.verdict.judge import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class ComparedState(msgspec.Struct, frozen=True):
    """One state of a list, held against what was expected.

    ``place`` is its index in `Endpoint.states`, None where it was expected and never came.
    ``ok`` is None where nothing was expected of the endpoint. ``parts`` marks the first place at
    which expectation and reality part.
    """

    state: State
    place: int | None
    ok: bool | None
    parts: bool = False


def marks(endpoint: Endpoint, index: int, verdict: Verdict | None) -> list[ComparedState]:
    """Hold the states that an endpoint went through against a verdict.

    Where the verdict expects a certain way, against that way; else every state that was entered
    by a transition which it does not find wrong is ticked.

    Args:
        endpoint: The endpoint.
        index: Its place in `Record.endpoints`, by which the verdict knows it.
        verdict: The verdict; without one nothing is ticked.
    """
    states = endpoint.states
    if verdict is None:
        return [ComparedState(state, place, None) for place, state in enumerate(states)]
    if index in verdict.expected:
        out = _compared(states, verdict.expected[index])
    else:
        wrong = {
            finding.transition for finding in verdict.findings if finding.ok is False and finding.endpoint == index
        }
        out = [ComparedState(state, place, place - 1 not in wrong) for place, state in enumerate(states)]
    for place, mark in enumerate(out):
        if mark.ok is False:
            out[place] = msgspec.structs.replace(mark, parts=True)
            break
    return out


def _compared(observed: Sequence[State], expected: Sequence[State]) -> list[ComparedState]:
    out: list[ComparedState] = []
    matcher = SequenceMatcher(None, list(observed), list(expected), autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            out += [ComparedState(observed[place], place, ok=True) for place in range(i1, i2)]
            continue
        out += [ComparedState(state, None, ok=False) for state in expected[j1:j2]]
        out += [ComparedState(observed[place], place, ok=False) for place in range(i1, i2)]
    return out
