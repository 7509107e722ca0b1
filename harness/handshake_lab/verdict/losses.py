"""Why segments were lost: too big for a link, not forwarded, or dropped by a full queue."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.icmp import TOO_BIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.recording.history import Record, TransmittedSegment
    from handshake_lab.recording.observations import QdiscReport
    from handshake_lab.tcp.address import Address

#: Link properties that drop segments even if the queue is not full: its drop counter then includes other drops.
_LOSSY = ("loss", "gilbert")
#: netem's own limit, in packets (tc-netem(8)).
_LIMIT = 1000


def why_lost(record: Record) -> dict[int, Message]:
    """Why segments were lost, by their numbers, if captures, counters or the kernel's reports show it."""
    lost = [each for each in record.segments if each.lost]
    if not lost:
        return {}
    errors: dict[tuple[Address, int], list[TransmittedSegment]] = defaultdict(list)
    for segment in record.segments:
        if segment.icmp.startswith(TOO_BIG):
            errors[segment.dst, segment.seq].append(segment)
    why: dict[int, Message] = {}
    for each in lost:
        error = next((error for error in errors[each.src, each.seq] if _answers(error, each)), None)
        if error is not None:
            why[each.number] = sentence("too_big", node=error.sender, mtu=error.icmp.rpartition(" ")[2])
        elif each.dropped is not None:
            why[each.number] = each.dropped
        elif each.stopped_at:
            why[each.number] = sentence("not_forwarded", node=each.stopped_at)
    rest = [each for each in lost if each.number not in why]
    for number, interface in _overflowed(record, rest):
        why[number] = sentence("queue_full", interface=interface)
    return why


def _answers(error: TransmittedSegment, segment: TransmittedSegment) -> bool:
    """Whether an ICMP error is about this transmission of a segment, and not about an earlier one."""
    return error.sent is not None and (segment.sent or 0) <= error.sent <= (segment.sent or 0) + 1_000_000_000


def _overflowed(record: Record, lost: Sequence[TransmittedSegment]) -> Iterator[tuple[int, str]]:
    """The segments that full queues dropped, each with the queue's interface.

    A queue counts the packets that it drops. If the counter equals the number of segments lost on its path, it dropped
    all of them. Otherwise, if it equals the number of lost segments that were sent while the queue was full, it dropped
    those. Otherwise, the cause is unknown.
    """
    located = [queue for queue in record.queues if queue.link]
    for queue in located:
        if any(word in queue.asked for word in _LOSSY):
            continue
        there = [each for each in lost if _passes(each, queue)]
        if len(there) != queue.dropped:
            there = [each for each in there if _in_flight(record, each) >= _limit(queue)]
        if len(there) == queue.dropped:
            yield from ((each.number, queue.interface) for each in there)
    if not located and len(lost) == sum(record.full_queues.values()):
        yield from ((each.number, ", ".join(record.full_queues)) for each in lost)


def _passes(segment: TransmittedSegment, queue: QdiscReport) -> bool:
    """Whether a segment's path begins or ends with a queue's link."""
    origin, _, end = queue.link.partition(">")
    return segment.receiver == end or segment.sender == origin


def _in_flight(record: Record, lost: TransmittedSegment) -> int:
    """How many segments were in flight to the same host when a lost segment was sent."""
    at = lost.sent or 0
    return sum(
        each.receiver == lost.receiver and (each.sent or 0) <= at < each.received
        for each in (*record.segments, *record.datagrams)
        if each.received is not None and each.sent is not None
    )


def _limit(queue: QdiscReport) -> int:
    """How many packets a queue holds."""
    for part in queue.asked.split(","):
        name, _, value = part.partition("=")
        if name == "limit":
            return int(value)
    return _LIMIT
