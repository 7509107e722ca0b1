"""All segments of long connections as JSON columns, for the page's timeline: it draws them, and shows their headers."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.report.html.columns import differences
from handshake_lab.report.text import flags
from handshake_lab.tcp.options import show_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.report.layout.connections import Connection, Lane

#: The options of most segments: two NOPs and the timestamps (RFC 7323, appendix A).
_TIMESTAMPS = struct.Struct("!III")
_NOPS_AND_TIMESTAMPS = 0x0101080A


def segment_store(
    found: Iterable[Connection],
    fate: Callable[[Connection, TransmittedSegment], str],
    ways: Mapping[int, str],
    marks: Callable[[Connection], Sequence[tuple[int, str]]],
) -> Markup:
    """The segments of connections as JSON.

    Args:
        found: The connections.
        fate: What happened to a segment besides its arrival, as text; "" if nothing did.
        ways: The routers that it reached, as text, by its number.
        marks: What else happened during a connection: when, and as text.
    """
    stored = {str(each.number): _stored(each, fate, ways) | {"marks": marks(each)} for each in found}
    # The only characters of recorded text that could end the element.
    return Markup(json.dumps(stored, separators=(",", ":")).replace("<", "\\u003c"))  # noqa: S704


def _stored(
    connection: Connection, fate: Callable[[Connection, TransmittedSegment], str], ways: Mapping[int, str]
) -> dict[str, Any]:
    segments = sorted(connection.segments, key=lambda each: each.departed)
    called = [each.name for each in segments]
    letters = dict(zip(reversed(called), (each.flags for each in reversed(segments)), strict=True))  # the first has it
    names = sorted(letters)
    places = {name: place for place, name in enumerate(names)}
    sides = [connection.side_of(each) == "right" for each in segments]
    seq = [0, 0]
    ack = [0, 0]
    for each, right in zip(segments, sides, strict=True):
        seq[right] = each.seq - each.rel_seq
        if "A" in each.flags:
            ack[right] = each.ack - each.rel_ack
    stamps = [_timestamps(each) for each in segments]
    return {
        "ends": [_end(connection.left), _end(connection.right)],
        "states": [_states(connection.left), _states(connection.right)],
        "names": names,
        "kinds": [flags.kind(letters[name]) for name in names],
        "base": [seq, ack],
        "number": differences([each.number for each in segments]),
        "sent": differences([each.departed for each in segments]),
        "flight": [-1 if each.received is None else each.received - each.departed for each in segments],
        "made": [place for place, each in enumerate(segments) if each.sent is None],
        "side": "".join("1" if right else "0" for right in sides),
        "name": [places[name] for name in called],
        "seq": [each.rel_seq for each in segments],
        "ack": [each.rel_ack if "A" in each.flags else -1 for each in segments],
        "length": [each.length for each in segments],
        "window": [each.window for each in segments],
        "again": {place: each.retransmits for place, each in enumerate(segments) if each.retransmits is not None},
        "value": differences([stamp[0] if stamp else 0 for stamp in stamps]),
        "echo": differences([stamp[1] if stamp else 0 for stamp in stamps]),
        "options": {
            place: show_options(each.raw_options)
            for place, (each, stamp) in enumerate(zip(segments, stamps, strict=True))
            if stamp is None
        },
        "path": {place: ways[each.number] for place, each in enumerate(segments) if each.number in ways},
        "fate": {place: text for place, each in enumerate(segments) if (text := fate(connection, each))},
    }


def _end(lane: Lane) -> list[str]:
    return [lane.node, str(lane.address)]


def _states(lane: Lane) -> list[tuple[int, str]]:
    steps = lane.endpoint.transitions if lane.endpoint else ()
    return [(0, steps[0].old), *((step.time, step.new) for step in steps)] if steps else []


def _timestamps(segment: TransmittedSegment) -> tuple[int, int] | None:
    raw = segment.raw_options
    if len(raw) != _TIMESTAMPS.size:
        return None
    head, value, echo = _TIMESTAMPS.unpack(raw)
    return (value, echo) if head == _NOPS_AND_TIMESTAMPS else None
