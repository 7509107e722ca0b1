"""Why segments were retransmitted."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.segment import name_of
from handshake_lab.tcp.sequence_numbers import add, distance, occupied
from handshake_lab.verdict.losses import why_lost
from handshake_lab.verdict.without_effect import why_ignored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.recording.history import Record, TransmittedSegment
    from handshake_lab.tcp.address import Address


#: The number of retransmitted data segments that are reported individually, for each direction of a connection.
REPORTED = 3


class Retransmission(NamedTuple):
    """The message about a retransmission; ``segment`` is the number of the original."""

    segment: int
    message: Message


class _Surroundings(NamedTuple):
    """Acknowledgments by the direction that they acknowledge, and reasons by segment."""

    acks: dict[tuple[Address, Address], list[TransmittedSegment]]
    ignored: dict[int, Message]  #: why segments had no effect, by their numbers
    blurred: frozenset[str]
    lost: dict[int, Message]  #: why segments were lost, by their numbers


def retransmissions(record: Record) -> Iterator[Retransmission]:
    """Every retransmitted segment with the reasons; of many data segments, the first few and the number of others."""
    again: dict[int, list[TransmittedSegment]] = defaultdict(list)
    around = _surroundings(record)
    for segment in record.segments:
        if segment.retransmits is not None:
            again[segment.retransmits].append(segment)
    data: Counter[tuple[Address, Address]] = Counter()
    more: dict[tuple[Address, Address], list[TransmittedSegment]] = defaultdict(list)
    for number, repeats in again.items():
        first = record.segments[number - 1]
        way = (first.src, first.dst)
        if _is_data(first):
            data[way] += 1
            if data[way] > REPORTED:
                more[way].append(first)
                continue
        yield Retransmission(number, _described(first, repeats, around))
    for rest in more.values():
        first = rest[0]
        if len(rest) == 1:  # then the message itself, instead of "1 more"
            described = _described(first, again[first.number], around)
        elif {first.sender, first.receiver} & record.blurred:
            described = sentence("retransmitted_more_uncaptured", who=first.sender, count=len(rest))
        else:
            lost = sum(each.received is None for each in rest)
            described = sentence("retransmitted_more", who=first.sender, count=len(rest), lost=lost)
        yield Retransmission(first.number, described)


def _surroundings(record: Record) -> _Surroundings:
    around = _Surroundings(defaultdict(list), why_ignored(record), record.blurred, why_lost(record))
    for segment in record.segments:
        if "A" in segment.flags:
            source, target = segment.arriving
            around.acks[target, source].append(segment)
    return around


def _described(
    first: TransmittedSegment,
    repeats: Sequence[TransmittedSegment],
    around: _Surroundings,
) -> Message:
    reasons: list[Message] = []
    acks: list[str] = []
    rounds = _rounds(repeats)
    for earlier, (after, *_) in pairwise([[first], *rounds]):
        before = next((each for each in reversed(earlier) if distance(each.seq, after.seq) >= 0), earlier[0])
        # The capture may have missed its arrival or the answer.
        unseen = {before.sender, before.receiver} & around.blurred
        reason = sentence("not_captured") if unseen else _reason(before, after, around)
        if reason.code == "ack_lost":
            acks.append(str(reason.values["number"]))
        if reason not in reasons and not (reason.code == "ack_lost" and len(acks) > 1):
            reasons.append(reason)
    if len(acks) > 1:  # all in one reason, at the position of the first
        all_lost = sentence("acks_lost", numbers=", ".join(dict.fromkeys(acks)))
        reasons = [all_lost if reason.code == "ack_lost" else reason for reason in reasons]
    why = reduce(lambda one, other: sentence("and_then", first=one, second=other), reasons)
    waits = [f"{((each.sent or 0) - (first.sent or 0)) / 1e9:.2f}" for each, *_ in rounds]
    shown = ", ".join(waits if len(waits) <= 6 else [*waits[:5], "…", waits[-1]])
    whole: dict[str, str | Message] = {"who": first.sender, "what": _name(first), "waits": shown, "why": why}
    if len(rounds) > 1:
        return sentence("retransmitted_times", **whole, count=len(rounds))
    parts = len(repeats)
    return sentence("retransmitted_in_parts", **whole, parts=parts) if parts > 1 else sentence("retransmitted", **whole)


def _rounds(repeats: Sequence[TransmittedSegment]) -> list[list[TransmittedSegment]]:
    """Group retransmissions that are parts of the same original: each part begins where the previous one ends."""
    rounds: list[list[TransmittedSegment]] = []
    for each in repeats:
        before = rounds[-1][-1] if rounds else None
        if before is not None and each.seq == add(before.seq, occupied(before.flags, before.length)):
            rounds[-1].append(each)
        else:
            rounds.append([each])
    return rounds


def _is_data(segment: TransmittedSegment) -> bool:
    return bool(segment.length) and not set(segment.flags) & set("SF")


def _name(segment: TransmittedSegment) -> Message:
    if segment.length and "F" not in segment.flags:
        return sentence("data", length=segment.length)
    name = name_of(segment.flags)
    return (
        sentence("segment_data", name=name, length=segment.length) if segment.length else sentence("segment", name=name)
    )


def _reason(before: TransmittedSegment, after: TransmittedSegment, around: _Surroundings) -> Message:
    """Why ``before`` was retransmitted as ``after``."""
    if before.received is None or before.damaged:
        return sentence("damaged") if before.damaged else around.lost.get(before.number, sentence("lost"))
    if before.received >= (after.sent or 0):
        return sentence("early")
    end = add(before.seq, occupied(before.flags, before.length))
    answers = [
        answer
        for answer in around.acks[before.src, before.dst]
        if answer.sent is not None
        and before.received <= answer.sent <= (after.sent or 0)
        and distance(end, answer.ack) >= 0
    ]
    if not answers:
        why = around.ignored.get(before.number)
        return sentence("without_effect", why=why) if why else sentence("unanswered", receiver=before.receiver)
    if all(answer.received is None for answer in answers):
        return sentence("ack_lost", number=answers[0].number)
    if all((answer.received or 0) >= (after.sent or 0) for answer in answers if answer.received is not None):
        return sentence("ack_late")
    return sentence("ack_refused", sender=before.sender)
