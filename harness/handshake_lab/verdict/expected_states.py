"""Results of comparisons with the documents, as values for reports."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Endpoint, Record
    from handshake_lab.verdict.judge import Verdict


class Claim(msgspec.Struct, frozen=True):
    """A documented claim and the result of measuring it; ``evidence`` is the measured nuance or contradiction."""

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
    """One state of a list, compared with the expected one.

    ``place`` is its index in `Endpoint.states`, None if it was expected and did not occur. ``ok`` is None if
    nothing was expected of the endpoint. ``parts`` marks the first difference.
    """

    state: State
    place: int | None
    ok: bool | None
    parts: bool = False


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


def marks(endpoint: Endpoint, index: int, verdict: Verdict | None) -> list[ComparedState]:
    """Compare the states of an endpoint with a verdict.

    If the verdict expects certain states, with these; otherwise every state that was entered by a transition
    without a negative finding is marked as right.

    Args:
        endpoint: The endpoint.
        index: Its index in `Record.endpoints`, to which the verdict refers.
        verdict: The verdict; without one nothing is marked.
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
