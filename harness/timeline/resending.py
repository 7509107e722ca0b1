"""Why segments were sent again: the reason lies in what was lost before."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from harness.tcp.segment import name_of
from harness.tcp.sequence import add, distance, occupied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.tcp.address import Address
    from harness.timeline.history import Passage, Record


class Resending(NamedTuple):
    """That a segment was sent again, in words; ``segment`` is the number of its first sending."""

    segment: int
    text: str


def resendings(record: Record) -> Iterator[Resending]:
    """Every segment that was sent more than once, with the reason."""
    again: dict[int, list[Passage]] = defaultdict(list)
    back: dict[tuple[Address, Address], list[Passage]] = defaultdict(list)
    for passage in record.passages:
        if passage.retransmits is not None:
            again[passage.retransmits].append(passage)
        if "A" in passage.flags:
            back[passage.dst, passage.src].append(passage)
    for number, repeats in again.items():
        first = record.passages[number - 1]
        sendings = [first, *repeats]
        reasons = list(
            dict.fromkeys(_reason(before, after, back[first.src, first.dst]) for before, after in pairwise(sendings))
        )
        waits = [f"{((each.sent or 0) - (first.sent or 0)) / 1e9:.2f}" for each in repeats]
        shown = ", ".join(waits if len(waits) <= 6 else [*waits[:5], "…", waits[-1]])
        times = f" {len(repeats)} times" if len(repeats) > 1 else ""
        yield Resending(
            number,
            f"{first.sender}: {_name(first)} sent again{times} after {shown} s because {' and then '.join(reasons)}",
        )


def _name(passage: Passage) -> str:
    if passage.length and "F" not in passage.flags:
        return f"{passage.length} B of data"
    name = name_of(passage.flags)
    return f"{name} with {passage.length} B" if passage.length else name


def _reason(before: Passage, after: Passage, back: Sequence[Passage]) -> str:
    """Why ``after`` was sent, given that ``before`` had been."""
    if before.received is None or before.damaged:
        return "it was damaged on the way" if before.damaged else "it was lost"
    if before.received >= (after.sent or 0):
        return "its acknowledgment could not have come back yet"
    end = add(before.seq, occupied(before.flags, before.length))
    answers = [
        answer
        for answer in back
        if answer.sent is not None
        and before.received <= answer.sent <= (after.sent or 0)
        and distance(end, answer.ack) >= 0
    ]
    if not answers:
        return f"{before.receiver} did not acknowledge it"
    if all(answer.received is None for answer in answers):
        return f"its acknowledgment, segment {answers[0].number}, was lost"
    if all((answer.received or 0) >= (after.sent or 0) for answer in answers if answer.received is not None):
        return "its acknowledgment had not come back yet"
    return f"{before.sender} did not take its acknowledgment for one"
