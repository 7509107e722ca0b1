"""Compares a record with RFC 9293: is every transition an edge of its diagram?

Loss and retransmission are no deviations, but they are reported, and so are connections that were left
half-open and states that could not be observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.diagram.lookup import BY_ID, edges_between
from handshake_lab.tcp.states import State
from handshake_lab.verdict.half_open import half_open
from handshake_lab.verdict.retransmissions import retransmissions
from handshake_lab.verdict.unsent_fins import unsent_fins
from handshake_lab.verdict.without_effect import without_effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Endpoint, Record, Transition

_LEFT = {
    State.SYN_SENT: "unfinished_syn",
    State.SYN_RECEIVED: "unfinished_handshake",
    State.FIN_WAIT_1: "unfinished_fin",
    State.FIN_WAIT_2: "unfinished_peer",
    State.CLOSE_WAIT: "unfinished_program",
    State.CLOSING: "unfinished_fin",
    State.LAST_ACK: "unfinished_fin",
}


#: The summaries of a record without TCP, and of one that does not show why something happened.
_NOTHING = "nothing_observed"
_UNEXPLAINED = "causes_unknown"


class Finding(msgspec.Struct, frozen=True):
    """One line of a verdict.

    ``ok`` is False for a deviation from RFC 9293, True for agreement, None for information. ``endpoint`` and
    ``transition`` are indexes in `Record.endpoints` and its transitions, ``segment`` is a `TransmittedSegment.number`.
    ``message`` is ``text`` as a value that can be translated.
    """

    ok: bool | None
    text: str
    endpoint: int | None = None
    transition: int | None = None
    segment: int | None = None
    message: Message | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The findings about a record. ``message`` is ``summary`` as a value that can be translated."""

    ok: bool
    summary: str
    findings: tuple[Finding, ...] = ()
    #: The states that a scenario expects of endpoints; RFC 9293 expects no particular ones.
    expected: dict[int, tuple[State, ...]] = {}
    message: Message | None = None

    @property
    def neutral(self) -> bool:
        """Whether the record is not sufficient for a judgement: the verdict is neither good nor bad."""
        return self.message is not None and self.message.code in (_NOTHING, _UNEXPLAINED)

    @property
    def exit_code(self) -> int:
        """0 as documented, 1 not as documented."""
        return 0 if self.ok else 1


def judge(record: Record) -> Verdict:
    """Compare a record with RFC 9293.

    Args:
        record: The record of a run.

    Returns:
        The verdict: "as documented" if every endpoint starts in CLOSED and takes only edges of the diagram, each
        for a known cause. Where observers contradict each other, it says so, but accuses nobody.
    """
    findings: list[Finding] = []
    unsent = list(unsent_fins(record))
    waiting = {each.endpoint for each in unsent if not each.later}
    for place, endpoint in enumerate(record.endpoints):
        found = list(_judge(place, endpoint, sent_fin=place not in waiting))
        if all(finding.ok is not False for finding in found) and endpoint.transitions:
            way = " → ".join(endpoint.states)
            findings.append(_found(True, sentence("documented", who=_who(endpoint), way=way), place))
        findings += found
    findings += [_found(None, each.message, segment=each.segment) for each in retransmissions(record)]
    findings += [_found(None, each.message, segment=each.segment) for each in without_effect(record)]
    findings += [
        _found(None, each.message, each.endpoint, len(record.endpoints[each.endpoint].transitions) - 1)
        for each in half_open(record)
    ]
    findings += [_found(None, each.message, each.endpoint, each.transition) for each in unsent]
    if record.datagrams:
        sent = [each for each in record.datagrams if not each.icmp]
        lost = sum(each.lost for each in sent)
        findings.append(_found(None, sentence("datagrams", count=len(sent), lost=lost)))
    if not record.complete:
        findings.append(_found(None, sentence("record_cut")))
    deviations = sum(finding.ok is False for finding in findings)
    unseen = any(step.flaw == "gap" for endpoint in record.endpoints for step in endpoint.transitions)
    transitions = sum(len(endpoint.transitions) for endpoint in record.endpoints)
    if deviations:
        summary = sentence("deviates", count=deviations, all=transitions)
    elif not transitions:
        summary = sentence(_NOTHING)
    elif unknown := sum(step.cause.kind == "unknown" for end in record.endpoints for step in end.transitions):
        summary = sentence(_UNEXPLAINED, count=unknown, all=transitions)
    elif unseen:
        summary = sentence("partly_unobserved")
    elif own := sum(finding.message is not None and finding.message.code == "linux_edge" for finding in findings):
        summary = sentence("agrees_with_linux", count=own, all=transitions)
    else:
        summary = sentence("agrees", all=transitions)
    return Verdict(not deviations, str(summary), tuple(findings), message=summary)


def _found(
    ok: bool | None,
    message: Message,
    endpoint: int | None = None,
    transition: int | None = None,
    segment: int | None = None,
) -> Finding:
    return Finding(ok, str(message), endpoint, transition, segment, message)


def _judge(place: int, endpoint: Endpoint, *, sent_fin: bool) -> Iterator[Finding]:
    who = _who(endpoint)
    steps = endpoint.transitions
    if steps and steps[0].old is not State.CLOSED:
        yield _found(None, sentence("recorded_late", who=who), place, 0)
    state = steps[0].old if steps else State.CLOSED
    for number, step in enumerate(steps):
        if step.old is not state:
            yield _found(False, sentence("states_skipped", who=who, state=str(state), old=str(step.old)), place, number)
        state = step.new
        yield from _judge_step(who, place, number, step)
    if state in _LEFT:
        seconds = f"{(endpoint.ended - steps[-1].time) / 1e9:.1f}"
        why = _LEFT[state] if sent_fin or _LEFT[state] != "unfinished_fin" else "unfinished_unsent"
        left = sentence("unfinished", who=who, why=sentence(why), seconds=seconds, state=str(state))
        yield _found(None, left, place, len(steps) - 1)


def _judge_step(who: str, place: int, number: int, step: Transition) -> Iterator[Finding]:
    what = {"who": who, "step": f"{step.old}→{step.new}", "time": f"{step.time / 1e9:.3f}"}
    if step.cause.kind == "unknown" and step.flaw is None:
        yield _found(None, sentence("cause_unknown", **what, cause=step.cause.message), place, number)
    if step.flaw is not None:
        found = sentence(step.flaw, **what, objection=step.objection or "")
        yield _found(None, found, place, number)
    elif not any(edge.in_linux for edge in edges_between(step.old, step.new)):
        yield _found(False, sentence("no_edge", **what), place, number)
    elif step.edge is not None and BY_ID[step.edge].source == "Linux":
        edge = BY_ID[step.edge]
        yield _found(
            None, sentence("linux_edge", **what, edge=edge.id, event=sentence(f"edge.{edge.id}")), place, number
        )


def _who(endpoint: Endpoint) -> str:
    return f"{endpoint.node} {endpoint.local}"
