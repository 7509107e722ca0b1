"""What the captures of routers show of each segment: when it reached and left a router, and with which addresses.

A segment is recognised by what no router changes: IPv4's identification, and its TCP header without ports and checksum.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.reconcile.segments.forwarding import LOOPBACK, untranslated
from handshake_lab.recording.observations import Address, SegmentSeen
from handshake_lab.report.text.times import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words

#: A segment that takes longer from host to host, in nanoseconds, is not looked for.
_LONGEST = 60_000_000_000


class Translation(msgspec.Struct, frozen=True):
    """The source and the destination of a segment before and after a translator (NAT)."""

    before: tuple[Address, Address]
    after: tuple[Address, Address]

    @property
    def changes(self) -> list[tuple[Address, Address]]:
        """The addresses that differ: before, and after."""
        return [(before, after) for before, after in zip(self.before, self.after, strict=True) if before != after]

    @property
    def backwards(self) -> Translation:
        """What happens to the answer, read from its end: the translation of the other direction."""
        return Translation(self.after[::-1], self.before[::-1])


class Hop(msgspec.Struct, frozen=True):
    """A router on a segment's way: when it received and sent it; None if its capture does not show it."""

    node: str
    received: int | None
    sent: int | None
    translation: Translation | None = None  #: None if it left with the addresses with which it came


def hops(segments: Sequence[TransmittedSegment], observations: Iterable[Observation]) -> dict[int, tuple[Hop, ...]]:
    """The routers that each segment reached, in order of time, by the number of the segment.

    Args:
        segments: The segments of a run, and its datagrams.
        observations: Its observations.

    Returns:
        Nothing for a run without routers, and for segments that no host sent.
    """
    captured = [each for each in observations if isinstance(each, SegmentSeen)]
    passed = _at_routers(segments, captured)
    if not passed:
        return {}
    departures = {
        (seen.node, seen.t, seen.src, seen.dst, seen.seq, seen.ack, seen.flags, seen.length): seen
        for seen in captured
        if seen.direction == "sent"
    }
    found: dict[int, tuple[Hop, ...]] = {}
    for segment in segments:
        place = (segment.sender, segment.sent, segment.src, segment.dst, segment.seq, segment.ack, segment.flags)
        departure = departures.get((*place, segment.length))  # type: ignore[arg-type]  # sent may be None: not found
        if departure is None:
            continue
        last = departure.t + _LONGEST if segment.received is None else segment.received
        here = [
            seen
            for seen in passed.get(untranslated(departure), ())
            if departure.t <= seen.t <= last and seen.node != segment.sender
        ]
        if here:
            found[segment.number] = tuple(_by_router(here))
    return found


def _at_routers(
    segments: Iterable[TransmittedSegment], captured: Iterable[SegmentSeen]
) -> dict[object, list[SegmentSeen]]:
    """The captures of routers, by what they do not change: nodes that forwarded a segment, or where one was lost."""
    interfaces: dict[str, set[str]] = defaultdict(set)
    for seen in captured:
        if seen.interface != LOOPBACK:
            interfaces[seen.node].add(seen.interface)
    routers = {segment.stopped_at for segment in segments if segment.stopped_at}
    several = {node for node, names in interfaces.items() if len(names) > 1}
    keys: dict[str, dict[str, set[object]]] = {node: {"received": set(), "sent": set()} for node in several}
    passed: dict[object, list[SegmentSeen]] = defaultdict(list)
    for seen in captured:
        if seen.node in several or seen.node in routers:
            key = untranslated(seen)
            passed[key].append(seen)
            if seen.node in several:
                keys[seen.node][seen.direction].add(key)
    routers |= {node for node, each in keys.items() if each["received"] & each["sent"]}
    found = {key: [seen for seen in every if seen.node in routers] for key, every in passed.items()}
    return {key: every for key, every in found.items() if every}


def _by_router(captures: Iterable[SegmentSeen]) -> Iterable[Hop]:
    found: dict[str, dict[str, SegmentSeen]] = {}
    for seen in sorted(captures, key=lambda each: each.t):
        found.setdefault(seen.node, {}).setdefault(seen.direction, seen)
    for node, each in found.items():
        received, sent = each.get("received"), each.get("sent")
        translation = None
        if received and sent and (received.src, received.dst) != (sent.src, sent.dst):
            translation = Translation((received.src, received.dst), (sent.src, sent.dst))
        yield Hop(node, received.t if received else None, sent.t if sent else None, translation)


def routers_between(connection: Connection, ways: Mapping[int, tuple[Hop, ...]]) -> dict[str, Translation | None]:
    """The routers between a connection's sides, from left to right, with what each makes of addresses from the left."""
    order: list[str] = []
    translations: dict[str, Translation] = {}
    # Those that arrived passed all routers of their way.
    for segment in sorted(connection.segments, key=lambda each: each.lost):
        passed = ways.get(segment.number, ())
        backwards = connection.side_of(segment) == "right"
        if backwards:
            order.reverse()
        place = 0
        for hop in passed:
            if hop.node not in order:
                order.insert(place, hop.node)
            place = order.index(hop.node) + 1
            if hop.translation:
                seen = hop.translation.backwards if backwards else hop.translation
                translations.setdefault(hop.node, seen)
        if backwards:
            order.reverse()
    return {node: translations.get(node) for node in order}


def path(passed: Iterable[Hop], words: Words) -> str:
    """The routers as text: ``r1: received at 0.010 s, sent at 0.060 s``."""
    parts = []
    for hop in passed:
        at = [
            words(key, time=seconds(time))
            for key, time in (("page.hop_received", hop.received), ("page.hop_sent", hop.sent))
            if time is not None
        ]
        if hop.translation:
            at += [words("page.hop_translated", before=old, after=new) for old, new in hop.translation.changes]
        parts.append(f"{hop.node}: {', '.join(at)}")
    return "; ".join(parts)
