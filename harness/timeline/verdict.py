"""Holds a record against the document: is every transition an edge of RFC 9293's diagram?

Loss and retransmission are no deviation: TCP is made for them. They are worth telling,
and so is what was left half-open, or could not be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from harness.tcp.diagram import BY_ID, edges_between
from harness.tcp.states import State
from harness.timeline.resending import resendings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.timeline.history import Endpoint, Record, Transition

_LEFT = {
    State.SYN_SENT: "was still waiting for an answer to its SYN",
    State.SYN_RECEIVED: "was still waiting for the last ACK of the handshake",
    State.FIN_WAIT_1: "was still waiting for its FIN to be acknowledged",
    State.FIN_WAIT_2: "was still waiting for the other side to close",
    State.CLOSE_WAIT: "never left CLOSE-WAIT: its program did not close the socket",
    State.CLOSING: "was still waiting for its FIN to be acknowledged",
    State.LAST_ACK: "was still waiting for its FIN to be acknowledged",
}


class Finding(msgspec.Struct, frozen=True):
    """One line of a verdict.

    ``ok`` is False for a deviation from the document, True for what was held against it
    and agrees, None for what is only worth telling. ``endpoint`` and ``transition`` are
    places in `Record.endpoints` and its transitions, ``segment`` a `Passage.number`.
    """

    ok: bool | None
    text: str
    endpoint: int | None = None
    transition: int | None = None
    segment: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What was found about a record."""

    ok: bool
    summary: str
    findings: tuple[Finding, ...] = ()
    #: What scenarios expect of an endpoint's states; the document expects no particular way.
    expected: dict[int, tuple[State, ...]] = {}

    @property
    def exit_code(self) -> int:
        """0 as documented, 1 not as documented."""
        return 0 if self.ok else 1


def judge(record: Record) -> Verdict:
    """Hold a record against RFC 9293.

    Args:
        record: A reconciled run.

    Returns:
        The verdict: "as documented" where every endpoint starts at CLOSED and takes
        edges of the diagram only, and the kernel said nothing that the wire disproves.
    """
    findings: list[Finding] = []
    for place, endpoint in enumerate(record.endpoints):
        found = list(_judge(place, endpoint))
        if all(finding.ok is not False for finding in found) and endpoint.transitions:
            way = " → ".join(endpoint.states)
            findings.append(Finding(True, f"{_who(endpoint)}: {way}", place))
        findings += found
    findings += [Finding(None, each.text, segment=each.segment) for each in resendings(record)]
    if not record.complete:
        findings.append(Finding(None, "the record was cut before the run ended"))
    deviations = sum(finding.ok is False for finding in findings)
    unseen = any(step.flaw == "gap" for endpoint in record.endpoints for step in endpoint.transitions)
    transitions = sum(len(endpoint.transitions) for endpoint in record.endpoints)
    if deviations:
        summary = f"not as documented: {deviations} of {transitions} transitions deviate from RFC 9293"
    elif unseen:
        summary = "as documented, as far as it could be seen"
    else:
        summary = f"as documented: all {transitions} transitions are edges of RFC 9293's diagram"
    return Verdict(not deviations, summary, tuple(findings))


def _judge(place: int, endpoint: Endpoint) -> Iterator[Finding]:
    who = _who(endpoint)
    steps = endpoint.transitions
    if steps and steps[0].old is not State.CLOSED:
        yield Finding(None, f"{who}: its first states were not recorded", place, 0)
    state = steps[0].old if steps else State.CLOSED
    for number, step in enumerate(steps):
        if step.old is not state:
            yield Finding(False, f"{who}: was {state}, then left {step.old}", place, number)
        state = step.new
        yield from _judge_step(who, place, number, step)
    if state in _LEFT:
        seconds = (endpoint.ended - steps[-1].time) / 1e9
        yield Finding(
            None, f"{who}: {_LEFT[state]} ({seconds:.1f} s in {state} when the recording ended)", place, len(steps) - 1
        )


def _judge_step(who: str, place: int, number: int, step: Transition) -> Iterator[Finding]:
    what = f"{who}: {step.old}→{step.new} at {step.time / 1e9:.3f} s"
    if step.flaw == "gap":
        yield Finding(None, f"{what}: cannot be judged, {step.objection}", place, number)
    elif step.flaw == "lie":
        yield Finding(False, f"{what}: {step.objection}", place, number)
    elif not any(edge.in_linux for edge in edges_between(step.old, step.new)):
        yield Finding(False, f"{what}: there is no such edge", place, number)
    elif step.edge is not None and BY_ID[step.edge].source == "Linux":
        edge = BY_ID[step.edge]
        yield Finding(None, f"{what}: edge {edge.id}, which Linux adds: {edge.event}", place, number)


def _who(endpoint: Endpoint) -> str:
    return f"{endpoint.node} {endpoint.local}"
