"""Captures on both sides of the middle, joined: each segment's way, or that it was lost.

A segment is recognised by what no router changes: IPv4's identification, the TCP
header but for its checksum, and the length. Segments can recur all the same (a
duplicate made in the middle; a SYN-ACK sent again, whose identification is always 0), so
those of one content are matched in their order, at the way's usual delay.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from handshake_lab.reconcile.segments.numbering import Numbering
from handshake_lab.recording.causal_order import arrange
from handshake_lab.recording.history import TransmittedSegment
from handshake_lab.recording.node_addresses import is_loopback
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.recording.observations import SegmentSeen


class SegmentAtEnd(NamedTuple):
    """A passage as one of its ends saw it: it left here, or it arrived here, at ``t``.

    ``order`` is the place of the observation among all, which orders legs of one time.
    """

    t: int
    order: int
    outgoing: bool
    segment: TransmittedSegment


class MatchedSegments(msgspec.Struct, frozen=True):
    """All passages, and what each end of each connection saw of them.

    ``legs`` maps a node, its address and the other's to legs in order of time.
    """

    segments: tuple[TransmittedSegment, ...]
    legs: dict[tuple[str, Address, Address], list[SegmentAtEnd]]


#: Bytes of a frame with the headers of Ethernet, IPv4 and TCP.
_WHOLE = 54


class _Sight(NamedTuple):
    t: int
    order: int
    segment: SegmentSeen


class _Match(NamedTuple):
    sent: _Sight | None
    received: _Sight | None
    copies: _Sight | None = None  #: what was sent, where this is a duplicate made in the middle
    damaged: bool = False


def join(segments: Iterable[tuple[int, SegmentSeen]], nodes: Nodes) -> MatchedSegments:
    """Match what was sent with what was received.

    Only what a segment's own ends saw counts: a router's or switch's view adds nothing
    to whether it was sent and whether it arrived.

    Args:
        segments: Segments with their place among all observations.
        nodes: Whose addresses they carry.
    """
    departures: dict[tuple[str, str], dict[bytes | tuple[object, ...], list[_Sight]]] = defaultdict(
        lambda: defaultdict(list)
    )
    arrivals: dict[tuple[str, str], dict[bytes | tuple[object, ...], list[_Sight]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for order, seen in segments:
        sender, receiver = ends(seen, nodes)
        outgoing = seen.direction == "sent"
        if seen.node != (sender if outgoing else receiver):
            continue
        side = departures if outgoing else arrivals
        side[sender, receiver][_content(seen)].append(_Sight(seen.t, order, seen))
    found: list[tuple[_Match, str, str]] = []
    for way in departures.keys() | arrivals.keys():
        found += [(match, *way) for match in _match_way(departures.get(way, {}), arrivals.get(way, {}))]
    found.sort(key=lambda each: _first(each[0])[:2])
    groups = groupby(found, key=lambda each: _first(each[0]).t)
    return _number([each for _, group in groups for each in _causal(list(group))])


def _causal(found: list[tuple[_Match, str, str]]) -> list[tuple[_Match, str, str]]:
    """Order segments of one time: what had arrived at a host, as its capture saw it, before what it sent then."""
    if len(found) == 1:
        return found
    at: dict[str, list[tuple[int, bool, int]]] = defaultdict(list)
    for place, (match, sender, receiver) in enumerate(found):
        if match.received:
            at[receiver].append((match.received.order, False, place))
        if match.sent:
            at[sender].append((match.sent.order, True, place))
    pairs: list[tuple[int, int]] = []
    for seen in at.values():
        before: list[int] = []  # what a host sent last, and what has arrived since
        for _, outgoing, place in sorted(seen):
            if outgoing:
                pairs += [(each, place) for each in before]
                before.clear()
            before.append(place)
    return [found[place] for place in arrange([_first(match)[:2] for match, _, _ in found], pairs)]


def ends(seen: SegmentSeen, nodes: Nodes) -> tuple[str, str]:
    """The names of a segment's sender and receiver; an unknown host is called by its address."""
    if is_loopback(seen.src.ip) or is_loopback(seen.dst.ip):
        return seen.node, seen.node
    return nodes.of(seen.src.ip) or seen.src.ip, nodes.of(seen.dst.ip) or seen.dst.ip


def _content(seen: SegmentSeen) -> bytes | tuple[object, ...]:
    frame = seen.frame
    if len(frame) >= _WHOLE:
        if frame[12] == 0x08:
            at, identification = 14 + ((frame[14] & 15) << 2), frame[18:20]
        else:
            at, identification = 54, b""  # extension headers, if any, are compared as they are
        return b"%d %b %b %b" % (seen.length, identification, frame[at : at + 16], frame[at + 18 : at + 60])
    return seen.src, seen.dst, seen.flags, seen.seq, seen.ack, seen.length, seen.window


def _match_way(
    departures: dict[bytes | tuple[object, ...], list[_Sight]],
    arrivals: dict[bytes | tuple[object, ...], list[_Sight]],
) -> Iterable[_Match]:
    """Match all segments from one host to another."""
    plain = [
        arrivals[content][0].t - sent[0].t
        for content, sent in departures.items()
        if len(sent) == 1 and len(arrivals.get(content, ())) == 1
    ]
    usual = sorted(plain)[len(plain) // 2] if plain else None
    lost: list[_Sight] = []
    unsent: list[_Sight] = []
    for content in departures.keys() | arrivals.keys():
        sent, received = departures.get(content, []), arrivals.get(content, [])
        if len(sent) == 1 and len(received) == 1:
            yield _Match(sent[0], received[0])
        else:
            for match in _match_alike(sorted(sent), sorted(received), usual):
                if match.received is None and match.sent:
                    lost.append(match.sent)
                elif match.sent is None and match.copies is None and match.received:
                    unsent.append(match.received)
                else:
                    yield match
    yield from _match_damaged(lost, unsent, usual)


def _match_alike(sent: Sequence[_Sight], received: Sequence[_Sight], usual: float | None) -> Iterable[_Match]:
    """Match segments of the same content: as many as can be, in order, at delays as alike as can be.

    What arrived beyond what was sent was duplicated, or made up, in the middle.
    """
    few, many = (sent, received) if len(sent) <= len(received) else (received, sent)
    if usual is None:
        usual = _likeliest_delay(few, many)
    towards = 1 if few is sent else -1
    chosen = _align([each.t + towards * usual for each in few], [each.t for each in many])
    taken = set(chosen)
    for each, place in zip(few, chosen, strict=True):
        yield _Match(each, many[place]) if few is sent else _Match(many[place], each)
    for place, other in enumerate(many):
        if place not in taken:
            yield _Match(None, other, sent[0] if sent else None) if few is sent else _Match(other, None)


def _match_damaged(lost: Sequence[_Sight], unsent: Sequence[_Sight], usual: float | None) -> Iterable[_Match]:
    """Recognise what was damaged on the way: what arrived differs in one bit from what was sent and did not."""
    # Two frames that differ in one bit have one half in common: nobody need be compared with all.
    halves: dict[tuple[int, bytes, bool], list[_Sight]] = defaultdict(list)
    if unsent:
        for sight in sorted(lost):
            for half in _halves(sight.segment):
                halves[half].append(sight)
    found: set[int] = set()
    for arrived in sorted(unsent):
        near = [
            sight
            for half in _halves(arrived.segment)
            for sight in halves.get(half, ())
            if sight.order not in found and sight.t <= arrived.t and _differ_by_a_bit(sight.segment, arrived.segment)
        ]
        if near:
            sent = min(near, key=lambda sight: (abs(arrived.t - sight.t - (usual or 0)), sight))
            found.add(sent.order)
            yield _Match(sent, arrived, damaged=True)
        else:
            yield _Match(None, arrived)
    for sent in lost:
        if sent.order not in found:
            yield _Match(sent, None)


def _halves(seen: SegmentSeen) -> Sequence[tuple[int, bytes, bool]]:
    frame = seen.frame
    if len(frame) < _WHOLE:
        return ()
    middle = (14 + len(frame)) // 2
    return (len(frame), frame[14:middle], False), (len(frame), frame[middle:], True)


def _differ_by_a_bit(one: SegmentSeen, other: SegmentSeen) -> bool:
    a, b = one.frame[14:], other.frame[14:]
    return len(a) == len(b) and (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count() == 1


def _likeliest_delay(few: Sequence[_Sight], many: Sequence[_Sight]) -> float:
    """The delay at which the most of them fit together; the shortest of those."""
    if not few:
        return 0
    candidates = sorted({abs(other.t - few[0].t) for other in many})

    def misfit(delay: float) -> float:
        return sum(min(abs(abs(other.t - each.t) - delay) for other in many) for each in few)

    return min(candidates, key=misfit)


def _align(wanted: Sequence[float], offered: Sequence[int]) -> list[int]:
    """For each wanted time the place of an offered one, in order, with the least total misfit."""
    infinite = float("inf")
    # cost[i][j]: the first i wanted are served by the first j offered.
    cost = [[0.0] * (len(offered) + 1)]
    for i, time in enumerate(wanted, 1):
        row = [infinite] * (len(offered) + 1)
        for j in range(i, len(offered) + 1):
            row[j] = min(row[j - 1], cost[i - 1][j - 1] + abs(time - offered[j - 1]))
        cost.append(row)
    places: list[int] = []
    j = len(offered)
    for i in range(len(wanted), 0, -1):
        while cost[i][j - 1] == cost[i][j]:
            j -= 1
        j -= 1
        places.append(j)
    return places[::-1]


def _first(match: _Match) -> _Sight:
    sight = match.sent or match.received
    if sight is None:  # pragma: no cover - a match has a side
        raise AssertionError("a passage that nobody saw")
    return sight


def _number(found: Sequence[tuple[_Match, str, str]]) -> MatchedSegments:
    """Give passages their numbers, relative sequence numbers and links to what they repeat."""
    numbering = Numbering()
    numbers: dict[int, int] = {}
    segments: list[TransmittedSegment] = []
    legs: dict[tuple[str, Address, Address], list[SegmentAtEnd]] = defaultdict(list)
    for number, (match, sender, receiver) in enumerate(found, 1):
        first = _first(match)
        seen = first.segment
        numbers[first.order] = number
        base, ack_base, repeated = numbering.place(number, seen, sender, made_up=match.sent is None)
        segment = TransmittedSegment(
            number=number,
            sender=sender,
            receiver=receiver,
            src=seen.src,
            dst=seen.dst,
            flags=seen.flags,
            seq=seen.seq,
            ack=seen.ack,
            rel_seq=add(seen.seq, -base),
            rel_ack=add(seen.ack, -ack_base) if "A" in seen.flags else 0,
            length=seen.length,
            window=seen.window,
            sent=match.sent.t if match.sent else None,
            received=match.received.t if match.received else None,
            retransmits=repeated,
            copies=numbers.get(match.copies.order) if match.copies else None,
            damaged=match.damaged,
        )
        segments.append(segment)
        if match.sent:
            legs[sender, seen.src, seen.dst].append(SegmentAtEnd(match.sent.t, match.sent.order, True, segment))
        if match.received and not match.damaged:  # the receiver's TCP never sees what fails its checksum
            legs[receiver, seen.dst, seen.src].append(
                SegmentAtEnd(match.received.t, match.received.order, False, segment)
            )
    for each in legs.values():
        each.sort(key=lambda leg: leg[:2])
    return MatchedSegments(tuple(segments), dict(legs))
