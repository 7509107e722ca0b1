"""Which segments of a session of the shell are under way: a capture alone does not distinguish them from lost ones.

Every segment passes the gate in the middle (`handshake_lab.experiment.segment_gate`), which knows those that it dropped
or delays. Of the others, one is lost if the network has nothing left in which it could be, or if a later segment of the
same direction has overtaken it. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.tcp.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.history import Record, TransmittedSegment


class SegmentInMiddle(msgspec.Struct, frozen=True):
    """A segment in the middle of the network."""

    sender: str  #: the host; "" if it is unknown
    receiver: str
    src: Address
    dst: Address
    flags: str
    seq: int
    ack: int
    length: int

    def is_one_of(self, segment: TransmittedSegment) -> bool:
        """Whether a segment of a record can be this one: it may also be an equal one, such as a retransmission."""
        return (self.src, self.dst) in ((segment.src, segment.dst), segment.arriving) and (
            self.flags,
            self.seq,
            self.length,
        ) == (segment.flags, segment.seq, segment.length)


class Undecided(msgspec.Struct, frozen=True):
    """What is known of the segments that have not arrived.

    Attributes:
        waiting: The one that waits in the middle.
        dropped: Those that were dropped there, in order.
        delayed: Those that are delayed there.
        in_flight: How many packets are in the queues of impaired links.
    """

    waiting: SegmentInMiddle | None = None
    dropped: tuple[SegmentInMiddle, ...] = ()
    delayed: tuple[SegmentInMiddle, ...] = ()
    in_flight: int = 0


def with_under_way(record: Record, undecided: Undecided) -> Record:
    """A record in which the segments that are still under way are marked."""
    missing = [each for each in record.segments if each.received is None and each.sent is not None and not each.icmp]
    dropped = _matching(missing, undecided.dropped)
    missing = [each for each in missing if each.number not in dropped]
    held = [*undecided.delayed, *([undecided.waiting] if undecided.waiting else [])]
    kept = _matching(reversed(missing), held)
    empty = not undecided.in_flight
    passed = _last_arrived(record.segments)
    if empty and undecided.waiting is not None:
        for each in missing:
            if each.number in kept and undecided.waiting.is_one_of(each):
                passed[each.src, each.dst] = max(passed[each.src, each.dst], each.number)
    lost = {
        each.number
        for each in missing
        if each.number not in kept
        and ((empty and undecided.waiting is None) or each.number < passed[each.src, each.dst])
    }
    under_way = {each.number for each in missing} - lost
    if not under_way:
        return record
    segments = tuple(
        msgspec.structs.replace(each, under_way=True) if each.number in under_way else each for each in record.segments
    )
    return msgspec.structs.replace(record, segments=segments)


def number_of(record: Record, waiting: SegmentInMiddle) -> int | None:
    """The number in the ladder of the segment that waits in the middle; None if it was not captured."""
    return next((each.number for each in reversed(record.segments) if each.under_way and waiting.is_one_of(each)), None)


def _matching(missing: Iterable[TransmittedSegment], seen: Iterable[SegmentInMiddle]) -> set[int]:
    """The numbers of the segments that were seen in the middle, each of which is one segment."""
    left = list(seen)
    found: set[int] = set()
    for each in missing:
        match = next((place for place, one in enumerate(left) if one.is_one_of(each)), None)
        if match is not None:
            left.pop(match)
            found.add(each.number)
    return found


def _last_arrived(segments: Iterable[TransmittedSegment]) -> Counter[tuple[Address, Address]]:
    """The number of the last segment of each direction that has arrived."""
    found: Counter[tuple[Address, Address]] = Counter()
    for each in segments:
        if each.received is not None:
            found[each.src, each.dst] = each.number
    return found
