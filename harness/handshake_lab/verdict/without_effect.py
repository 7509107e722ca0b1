"""Segments that arrived and had no effect, with the reason given by the kernel or its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import Counters
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
    "40a": sentence("ignored_accept_queue"),
    "40b": sentence("ignored_accept_queue"),
    "41a": sentence("ignored_deferred"),
}


class WithoutEffect(NamedTuple):
    """A segment without effect, and the reason."""

    segment: int
    message: Message


def without_effect(record: Record) -> Iterator[WithoutEffect]:
    """Every segment that is known to have had no effect, in order of their numbers."""
    why = {segment.number: segment.ignored for segment in record.segments if segment.ignored is not None}
    counters = [Counters(record.header.t, node, grown) for node, grown in record.counters.items()]
    for each in self_transitions(record, counters):
        reason = _WHY.get(each.edge.partition(".")[0])
        if reason is not None and each.segment is not None:
            why.setdefault(each.segment, reason)
    for number in sorted(why):
        segment = record.segments[number - 1]
        time = f"{(segment.received or 0) / 1e9:.3f}"
        message = sentence(
            "no_effect", who=segment.receiver, name=segment.name, number=number, time=time, why=why[number]
        )
        yield WithoutEffect(number, message)
