"""A run for Wireshark: every captured frame, with the state transitions as packet comments.

The format is draft-ietf-opsawg-pcapng. Its blocks are written here, because a packet can have several comments.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import SECOND, seconds, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.recording.observations import Address, Observation

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 1, 2, 3, 9
_SHB_OS, _SHB_USERAPPL = 3, 4
_ETHERNET = 1
_NANOSECONDS = bytes([9])  # if_tsresol: 10 to the minus 9
_ETHERNET_HEADER, _IPV6_HEADER = 14, 40

#: A comment states the distance in time between packet and transition, unless it is shorter than this (nanoseconds).
_NEAR = SECOND // 1000

_Key = tuple["Address", "Address", str, int, int, int]


def pcapng(record: Record, observations: Iterable[Observation]) -> bytes:
    """Write a run as a pcapng file.

    Args:
        record: The run; its transitions become comments.
        observations: Its observations; the segments become packets.

    Returns:
        The file. Every interface of every node is an interface; times are nanoseconds since 1970. The comment about a
        transition is on the packet that caused it, as captured at the endpoint's host, or otherwise on the nearest
        packet.
    """
    seen = sorted((each for each in observations if isinstance(each, SegmentSeen)), key=lambda each: each.t)
    comments = _comments(record, seen)
    begin = int(datetime.fromisoformat(record.header.started).timestamp()) * SECOND
    interfaces = {key: number for number, key in enumerate(dict.fromkeys((s.node, s.interface) for s in seen))}
    names = [interface for _, interface in interfaces]
    blocks = [_section(record)]
    for node, interface in interfaces:
        name = interface if names.count(interface) == 1 else f"{node}:{interface}"
        blocks.append(_interface(visible(name), visible(node)))
    for place, segment in enumerate(seen):
        number = interfaces[segment.node, segment.interface]
        blocks.append(_packet(number, begin + segment.t, segment.frame, comments.get(place, ())))
    return b"".join(blocks)


def _comments(record: Record, seen: Sequence[SegmentSeen]) -> dict[int, list[str]]:
    """The comments on captured segments, by their index in the capture."""
    places: dict[_Key, list[int]] = defaultdict(list)
    by_host: dict[tuple[str, frozenset[Address]], list[int]] = defaultdict(list)
    for number, each in enumerate(seen):
        places[each.src, each.dst, each.flags, each.seq, each.ack, each.length].append(number)
        by_host[each.node, frozenset((each.src, each.dst))].append(number)
    comments: dict[int, list[str]] = defaultdict(list)
    for segment in record.segments:
        place = _place_of(segment, segment.sender, segment.sent, places, seen)
        if place is not None and (segment.lost or segment.retransmits is not None):
            comments[place].append(_remark(segment))
    segments = {segment.number: segment for segment in record.segments}
    for endpoint in record.endpoints:
        mine = by_host.get((endpoint.node, frozenset((endpoint.local, endpoint.remote))), [])
        times = [seen[place].t for place in mine]
        for step in endpoint.transitions:
            cause = segments.get(step.cause.segment or 0)
            found = _place_of(cause, endpoint.node, cause.received, places, seen) if cause else None
            place = _nearest(step.time, mine, times) if found is None else found
            if place is not None:  # a listener without connections has no packet
                comments[place].append(_comment(endpoint, step, seen[place].t))
    return comments


def _remark(segment: TransmittedSegment) -> str:
    again = "" if segment.retransmits is None else f" retransmission of #{segment.retransmits}"
    return f"#{segment.number}{again}{' lost in transit' if segment.lost else ''}"


def _place_of(
    segment: TransmittedSegment,
    node: str,
    when: int | None,
    places: dict[_Key, list[int]],
    seen: Sequence[SegmentSeen],
) -> int | None:
    """The index of a segment in a host's capture."""
    source, target = (segment.src, segment.dst) if node == segment.sender else segment.arriving
    key = (source, target, segment.flags, segment.seq, segment.ack, segment.length)
    mine = [place for place in places.get(key, []) if seen[place].node == node]
    if when is None or not mine:
        return None
    return min(mine, key=lambda place: abs(seen[place].t - when))


def _nearest(time: int, places: Sequence[int], times: Sequence[int]) -> int | None:
    """The nearest packet; of two at the same distance the later one, because the effect of a call follows it."""
    if not places:
        return None
    after = bisect_left(times, time)
    if after == len(times) or (after and time - times[after - 1] < times[after] - time):
        after -= 1
    return places[after]


def _comment(endpoint: Endpoint, step: Transition, at: int) -> str:
    witnesses = ", ".join(step.witnesses) or "no observer: inferred"
    text = f"{visible(endpoint.node)}: {step.old} -> {step.new} ({visible(step.cause.text)}; seen by {witnesses})"
    away = step.time - at
    if abs(away) >= _NEAR:
        direction = "after" if away > 0 else "before"
        text += f" at {seconds(step.time)} s, {span(abs(away))} {direction} this packet"
    if step.objection:
        text += f" ! {visible(str(step.objection))}"
    return text


def _section(record: Record) -> bytes:
    header = record.header
    options = [
        (_SHB_OS, f"Linux {visible(header.kernel.release)} ({header.kernel.kind})".encode()),
        (_SHB_USERAPPL, b"Handshake Lab"),
    ]
    # Byte-order magic, version 1.0, unspecified length.
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), options)


def _interface(name: str, node: str) -> bytes:
    options = [
        (_IF_NAME, name.encode()),
        (_IF_DESCRIPTION, f"node {node}".encode()),
        (_IF_TSRESOL, _NANOSECONDS),
    ]
    return _block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0), options)


def _packet(interface: int, time: int, frame: bytes, comments: Sequence[str]) -> bytes:
    body = struct.pack("<IIIII", interface, time >> 32, time & 0xFFFFFFFF, len(frame), _whole(frame))
    return _block(_PACKET, body + _padded(frame), [(_COMMENT, comment.encode()) for comment in comments])


def _whole(frame: bytes) -> int:
    """The length of the whole frame, of which a record contains the first bytes."""
    length = len(frame)
    kind = frame[12:14]
    if kind == b"\x08\x00" and length >= _ETHERNET_HEADER + 4:
        length = max(length, _ETHERNET_HEADER + int.from_bytes(frame[16:18]))
    elif kind == b"\x86\xdd" and length >= _ETHERNET_HEADER + 6:
        length = max(length, _ETHERNET_HEADER + _IPV6_HEADER + int.from_bytes(frame[18:20]))
    return length


def _block(kind: int, body: bytes, options: Sequence[tuple[int, bytes]]) -> bytes:
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + _padded(value)
    if options:
        body += struct.pack("<HH", 0, 0)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
