"""The digest of a run: of its transitions and segments, without anything that depends on the installation. Pure.

Times, ports, addresses and absolute sequence numbers are left out: what remains is what the course asks about, and is
the same for the same unit, seed and kernel, whichever Python or curl a machine has.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record, TransmittedSegment


def digest(record: Record) -> str:
    """The SHA-256 of a record's canonical transitions and segments, as hexadecimal digits."""
    endpoints = [
        [each.node, each.role, [[step.old, step.new, step.cause.kind, step.cause.segment] for step in each.transitions]]
        for each in record.endpoints
    ]
    segments = [_canonical(each) for each in (*record.segments, *record.datagrams)]
    return hashlib.sha256(msgspec.json.encode([endpoints, segments])).hexdigest()


def _canonical(segment: TransmittedSegment) -> list[object]:
    return [
        segment.number,
        segment.sender,
        segment.receiver,
        segment.name,
        segment.rel_seq,
        segment.rel_ack,
        segment.length,
        segment.lost,
        segment.retransmits,
    ]
