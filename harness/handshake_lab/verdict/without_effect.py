"""Segments that arrived and had no effect, with the reason given by the kernel or its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import Counters
from handshake_lab.verdict.counted import counted, uncounted
from handshake_lab.verdict.self_transitions import self_transitions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Record

#: Reasons by self-transition; for edges with several states, by number.
_WHY = {
    "24": sentence("challenged"),
    "25a": sentence("ignored_reset"),
    "25b": sentence("ignored_ack"),
    "26a": sentence("challenged"),
    "41a": sentence("ignored_deferred"),
}
#: What the kernel counts at these self-transitions: if all that was counted has been assigned to other segments, an
#: answer at that time was for something else.
_COUNTER = {"26a": "TCPChallengeACK", "41a": "TCPDeferAcceptDrop"}
#: The counters of full queues.
_QUEUES = {
    "ListenOverflows": sentence("ignored_accept_queue"),
    "TCPReqQFullDrop": sentence("ignored_request_queue"),
}
#: Reasons that say less than a counter: a SYN that makes no sense is answered with a challenge ACK, or not.
_VAGUE = ("ignored_syn",)


class WithoutEffect(NamedTuple):
    """A segment without effect, and the finding about it."""

    segment: int
    message: Message


def why_ignored(record: Record) -> dict[int, Message]:
    """Why segments that arrived had no effect, by their numbers, in order: as far as the kernel shows it."""
    why = {segment.number: segment.ignored for segment in record.segments if segment.ignored is not None}
    for number, message in counted(record).items():
        if number not in why or why[number].code in _VAGUE:
            why[number] = message
    left = uncounted(record)
    counters = [Counters(record.header.t, node, grown) for node, grown in left.items()]
    for each in self_transitions(record, counters):
        edge = each.edge.partition(".")[0]
        reason, counter = _WHY.get(edge), _COUNTER.get(edge, "")
        if edge in ("40a", "40b"):
            reason = _full(left.get(each.node, {}))
        known = each.node in left and counter and not left[each.node].get(counter)
        if reason is not None and each.segment is not None and not known:
            why.setdefault(each.segment, reason)
    return dict(sorted(why.items()))


def _full(left: dict[str, int]) -> Message | None:
    """Which queue was full, if only one of both can have been."""
    full = [message for counter, message in _QUEUES.items() if left.get(counter)]
    return full[0] if len(full) == 1 else None


def is_answered_only(why: Message) -> bool:
    """Whether a segment had an answer, but left nothing behind at its receiver."""
    return why.code == "cookie_sent"


def without_effect(record: Record) -> Iterator[WithoutEffect]:
    """Every segment that is known to have had no effect, in order of their numbers."""
    for number, why in why_ignored(record).items():
        segment = record.segments[number - 1]
        time = f"{(segment.received or 0) / 1e9:.3f}"
        code = "answered_only" if is_answered_only(why) else "no_effect"
        message = sentence(code, who=segment.receiver, name=segment.name, number=number, time=time, why=why)
        yield WithoutEffect(number, message)
