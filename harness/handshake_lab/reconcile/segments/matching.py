"""Matches the captures at both ends of the path: when each segment was sent, and when it arrived or that it was lost.

A segment is identified by the parts that no router changes, and by the addresses with which it arrives
(`forwarding`). Several segments can be equal in all of these (a duplicate made by the network; a
retransmitted SYN-ACK, whose identification is always 0): equal segments are matched in order, so that delays are close
to the median delay of the path.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from handshake_lab.reconcile.segments.forwarding import (
    WHOLE,
    CapturedSegment,
    Flow,
    ForwardedSegments,
    flow_of,
    untranslated,
)
from handshake_lab.reconcile.segments.numbering import Numbering
from handshake_lab.reconcile.segments.windows import Windows
from handshake_lab.recording.causal_order import arrange
from handshake_lab.recording.history import TransmittedSegment
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import options_of
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.recording.observations import SegmentSeen


class SegmentAtEnd(NamedTuple):
    """A segment as captured at one end: sent or received at ``t``.

    ``order`` is the index of the observation, which orders captures of the same time.
    """

    t: int
    order: int
    outgoing: bool
    segment: TransmittedSegment


class MatchedSegments(msgspec.Struct, frozen=True):
    """All segments, and the captures of them at each end of each connection.

    ``legs`` maps a node, its address and the peer's to captures in order of time.
    """

    segments: tuple[TransmittedSegment, ...]
    legs: dict[tuple[str, Address, Address], list[SegmentAtEnd]]
    routers: frozenset[str] = frozenset()  #: nodes that forwarded segments
    stops: dict[int, int] = {}  #: when a lost segment arrived at the last router that it reached, by its number


class _Match(NamedTuple):
    sent: CapturedSegment | None
    received: CapturedSegment | None
    copies: CapturedSegment | None = None  #: the original, if this is a duplicate made by the network
    damaged: bool = False
    stopped_at: int = 0  #: when the router received it
    stopped: str = ""  #: the router that received it and did not forward it


_Content = tuple[Flow, bytes | tuple[object, ...]]
_Captures = dict[_Content, list[CapturedSegment]]


def join(segments: Iterable[tuple[int, SegmentSeen]], nodes: Nodes, *, after: int = 0) -> MatchedSegments:
    """Match what was sent with what was received.

    The sender is the node that sent it without having received it first. It may be a router, or a host that uses
    another host's address. The receiver is the node that owns the destination address with which it arrives.

    Args:
        segments: Captured segments, each with the index of its observation.
        nodes: The nodes and their addresses.
        after: The last number that is already used: the first segment gets ``after + 1``.
    """
    forwarded = ForwardedSegments(CapturedSegment(seen.t, order, seen) for order, seen in segments)
    departures: dict[tuple[str, str, str], _Captures] = defaultdict(lambda: defaultdict(list))
    arrivals: dict[tuple[str, str, str], _Captures] = defaultdict(lambda: defaultdict(list))
    stopped: _Captures = defaultdict(list)
    taken: set[_Content] = set()
    for capture in forwarded.arrivals:
        flow, seen = flow_of(capture.segment), capture.segment
        if flow.node or (nodes.of(flow.dst.ip) == seen.node and not forwarded.is_held(capture)):
            content = _content(flow, seen)
            taken.add(content)
            arrivals[flow.src.ip, flow.dst.ip, flow.node][content].append(capture)
        elif nodes.of(flow.src.ip) != seen.node:
            stopped[_content(forwarded.final(flow, capture.t), seen)].append(capture)
    for capture in forwarded.departures:
        for flow in forwarded.course(flow_of(capture.segment), capture.t):
            if _content(flow, capture.segment) in taken:  # the NAT router may itself be the destination
                break
        departures[flow.src.ip, flow.dst.ip, flow.node][_content(flow, capture.segment)].append(capture)
    found: list[_Match] = []
    for path in departures.keys() | arrivals.keys():
        found += _match_path(departures.get(path, {}), arrivals.get(path, {}))
    found = [_with_stop(match, forwarded, stopped) for match in found]
    found.sort(key=lambda match: _first(match)[:2])
    groups = groupby(found, key=lambda match: _first(match).t)
    return _number([match for _, group in groups for match in _causal(list(group))], forwarded, nodes, after)


def _with_stop(match: _Match, forwarded: ForwardedSegments, stopped: _Captures) -> _Match:
    """A lost segment, with the last router that received it."""
    if match.sent is None or match.received is not None or not stopped:
        return match
    sent = match.sent
    there = stopped.get(_content(forwarded.final(flow_of(sent.segment), sent.t), sent.segment), ())
    last = next((capture for capture in there if capture.t >= sent.t), None)
    return match._replace(stopped=last.segment.node, stopped_at=last.t) if last else match


def _causal(found: list[_Match]) -> list[_Match]:
    """Order segments with equal times so that each host's capture order is respected."""
    if len(found) == 1:
        return found
    at: dict[str, list[tuple[int, bool, int]]] = defaultdict(list)
    for place, match in enumerate(found):
        if match.received:
            at[match.received.segment.node].append((match.received.order, False, place))
        if match.sent:
            at[match.sent.segment.node].append((match.sent.order, True, place))
    pairs: list[tuple[int, int]] = []
    for seen in at.values():
        before: list[int] = []  # the last segment that the host sent, and those received since
        for _, outgoing, place in sorted(seen):
            if outgoing:
                pairs += [(each, place) for each in before]
                before.clear()
            before.append(place)
    return [found[place] for place in arrange([_first(match)[:2] for match in found], pairs)]


def _content(flow: Flow, seen: SegmentSeen) -> _Content:
    """The key by which equal segments are found, with the addresses on arrival."""
    return flow, untranslated(seen)


def _match_path(departures: _Captures, arrivals: _Captures) -> Iterable[_Match]:
    """Match all segments from one address to another."""
    plain = [
        arrivals[content][0].t - sent[0].t
        for content, sent in departures.items()
        if len(sent) == 1 and len(arrivals.get(content, ())) == 1
    ]
    usual = sorted(plain)[len(plain) // 2] if plain else None
    lost: list[CapturedSegment] = []
    unsent: list[CapturedSegment] = []
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


def _match_alike(
    sent: Sequence[CapturedSegment], received: Sequence[CapturedSegment], usual: float | None
) -> Iterable[_Match]:
    """Match equal segments: as many as possible, in order, with delays as similar as possible.

    Further arrivals were duplicated or crafted by the network.
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


def _match_damaged(
    lost: Sequence[CapturedSegment], unsent: Sequence[CapturedSegment], usual: float | None
) -> Iterable[_Match]:
    """Match damaged segments: an unmatched arrival that differs in one bit from an unmatched departure."""
    # Two frames that differ in one bit have one half in common, which limits the comparisons.
    halves: dict[tuple[int, bytes, bool], list[CapturedSegment]] = defaultdict(list)
    if unsent:
        for capture in sorted(lost):
            for half in _halves(capture.segment):
                halves[half].append(capture)
    found: set[int] = set()
    for arrived in sorted(unsent):
        near = [
            capture
            for half in _halves(arrived.segment)
            for capture in halves.get(half, ())
            if capture.order not in found
            and capture.t <= arrived.t
            and _differ_by_a_bit(capture.segment, arrived.segment)
        ]
        if near:
            sent = min(near, key=lambda capture: (abs(arrived.t - capture.t - (usual or 0)), capture))
            found.add(sent.order)
            yield _Match(sent, arrived, damaged=True)
        else:
            yield _Match(None, arrived)
    for sent in lost:
        if sent.order not in found:
            yield _Match(sent, None)


def _halves(seen: SegmentSeen) -> Sequence[tuple[int, bytes, bool]]:
    frame = seen.frame
    if len(frame) < WHOLE:
        return ()
    middle = (14 + len(frame)) // 2
    return (len(frame), frame[14:middle], False), (len(frame), frame[middle:], True)


def _differ_by_a_bit(one: SegmentSeen, other: SegmentSeen) -> bool:
    a, b = one.frame[14:], other.frame[14:]
    return len(a) == len(b) and (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count() == 1


def _likeliest_delay(few: Sequence[CapturedSegment], many: Sequence[CapturedSegment]) -> float:
    """The delay with the smallest total deviation; if several have it, the shortest."""
    if not few:
        return 0
    candidates = sorted({abs(other.t - few[0].t) for other in many})

    def misfit(delay: float) -> float:
        return sum(min(abs(abs(other.t - each.t) - delay) for other in many) for each in few)

    return min(candidates, key=misfit)


def _align(wanted: Sequence[float], offered: Sequence[int]) -> list[int]:
    """For each wanted time the index of an offered one, in order, with the smallest total deviation."""
    infinite = float("inf")
    # cost[i][j]: of matching the first i wanted times with the first j offered ones.
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


def _first(match: _Match) -> CapturedSegment:
    capture = match.sent or match.received
    if capture is None:  # pragma: no cover - a match has a side
        raise AssertionError("a match without a capture")
    return capture


def _number(found: Sequence[_Match], forwarded: ForwardedSegments, nodes: Nodes, after: int) -> MatchedSegments:
    """Add numbers, relative sequence numbers and the numbers of retransmitted segments."""
    numbering = Numbering()
    windows = Windows()
    numbers: dict[int, int] = {}
    segments: list[TransmittedSegment] = []
    legs: dict[tuple[str, Address, Address], list[SegmentAtEnd]] = defaultdict(list)
    for number, match in enumerate(found, after + 1):
        first = _first(match)
        seen = first.segment
        numbers[first.order] = number
        there = flow_of(match.received.segment) if match.received else forwarded.final(flow_of(seen), first.t)
        own = flow_of(seen) if match.sent else forwarded.origin(there)
        made_up = match.sent is None
        base, ack_base, repeated = numbering.place(number, seen, own, there, made_up=made_up)
        segment = TransmittedSegment(
            number=number,
            sender=match.sent.segment.node if match.sent else nodes.of(seen.src.ip) or there.node,
            receiver=match.received.segment.node if match.received else nodes.of(there.dst.ip) or there.node,
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
            translated=None if (there.src, there.dst) == (seen.src, seen.dst) else (there.src, there.dst),
            stopped_at=match.stopped,
            icmp=seen.icmp,
            protocol=seen.protocol,
            raw_options=options_of(seen.frame),
        )
        if not seen.icmp and seen.protocol == "TCP":
            segment = msgspec.structs.replace(segment, scaled_window=windows.scaled(segment))
        segment = _named(segment)
        segments.append(segment)
        if match.sent:
            leg = SegmentAtEnd(match.sent.t, match.sent.order, True, segment)
            legs[segment.sender, seen.src, seen.dst].append(leg)
        if match.received and not match.damaged:  # the receiver's TCP drops it because of its checksum
            leg = SegmentAtEnd(match.received.t, match.received.order, False, segment)
            legs[segment.receiver, there.dst, there.src].append(leg)
    for each in legs.values():
        each.sort(key=lambda leg: leg[:2])
    stops = {each.number: match.stopped_at for each, match in zip(segments, found, strict=True) if match.stopped}
    return MatchedSegments(tuple(segments), dict(legs), forwarded.routers, stops)


def _named(segment: TransmittedSegment) -> TransmittedSegment:
    """Use the IP address as the name of a sender or receiver that is not a known node."""
    if segment.sender and segment.receiver:
        return segment
    return msgspec.structs.replace(
        segment,
        sender=segment.sender or segment.src.ip,
        receiver=segment.receiver or (segment.translated or (segment.src, segment.dst))[1].ip,
    )
