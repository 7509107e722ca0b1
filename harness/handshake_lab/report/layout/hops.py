"""What the captures of routers show of each segment: when it reached a router, and when it left it.

A segment is recognised by what no router changes: IPv4's identification, and its TCP header without ports and checksum.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.reconcile.segments.forwarding import untranslated
from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.report.text.times import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.text.translations import Words

#: A segment that takes longer from host to host, in nanoseconds, is not looked for.
_LONGEST = 60_000_000_000


class Hop(msgspec.Struct, frozen=True):
    """A router on a segment's way: when it received and sent it; None if its capture does not show it."""

    node: str
    received: int | None
    sent: int | None


def hops(segments: Sequence[TransmittedSegment], observations: Iterable[Observation]) -> dict[int, tuple[Hop, ...]]:
    """The routers that each segment reached, in order of time, by the number of the segment.

    Args:
        segments: The segments of a run.
        observations: Its observations.

    Returns:
        Nothing for a run without routers, and for segments that no host sent.
    """
    ends = {name for segment in segments for name in (segment.sender, segment.receiver)}
    captured = [each for each in observations if isinstance(each, SegmentSeen)]
    middle = [each for each in captured if each.node not in ends]
    if not middle:
        return {}
    passed: dict[object, list[SegmentSeen]] = defaultdict(list)
    for seen in middle:
        passed[untranslated(seen)].append(seen)
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
        here = [seen for seen in passed.get(untranslated(departure), ()) if departure.t <= seen.t <= last]
        if here:
            found[segment.number] = tuple(_by_router(here))
    return found


def _by_router(captures: Iterable[SegmentSeen]) -> Iterable[Hop]:
    times: dict[str, dict[str, int]] = {}
    for seen in sorted(captures, key=lambda each: each.t):
        times.setdefault(seen.node, {}).setdefault(seen.direction, seen.t)
    return (Hop(node, each.get("received"), each.get("sent")) for node, each in times.items())


def path(passed: Iterable[Hop], words: Words) -> str:
    """The routers as text: ``r1: received at 0.010 s, sent at 0.060 s``."""
    parts = []
    for hop in passed:
        at = [
            words(key, time=seconds(time))
            for key, time in (("page.hop_received", hop.received), ("page.hop_sent", hop.sent))
            if time is not None
        ]
        parts.append(f"{hop.node}: {', '.join(at)}")
    return "; ".join(parts)
