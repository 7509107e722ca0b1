"""Which places in runs are equivalent: faults on the next segments there have the same effect.

Two places are considered equivalent if

- the last observed state of every socket is the same, with its timer, its queues, its round-trip time and its window;
- the same segments are in flight, sent at the same times;
- all later observations are the same, to the byte and to the nanosecond, if no other fault is added.

State of programs and of the kernel that cannot be observed may still differ: a program may remember something that none
of its later actions has shown. Counters of segments are ignored, since TCP makes no decision by them.
tests/explore/test_equivalence.py compares searches that cut equivalent places with searches that do not;
``equivalent=run`` disables the cut.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.observations import (
    Counters,
    FaultReport,
    QdiscReport,
    RunEnd,
    RunHeader,
    SocketGone,
    SocketSeen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.plan.schedule import SegmentPoint
    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.recording.observations import Observation

#: What sums up a run, or says what was done to it.
_SUMS = (RunHeader, FaultReport, RunEnd, Counters, QdiscReport)
_encode = msgspec.json.Encoder().encode


def keys(run: Run, points: Sequence[SegmentPoint]) -> tuple[str, ...]:
    """A key for each segment of a run, equal if and only if the places before the segments are equivalent."""
    observed = [each for each in run.observations if not isinstance(each, _SUMS)]
    observed.sort(key=lambda each: each.t)
    after = _later(observed)
    return tuple(_key(run, observed, after, point) for point in points)


def _later(observed: Sequence[Observation]) -> list[bytes]:
    """For each observation: a digest of it and of all later ones."""
    digest = b""
    digests = []
    for each in reversed(observed):
        digest = hashlib.blake2b(digest + _encode(_without_counters(each)), digest_size=16).digest()
        digests.append(digest)
    return digests[::-1]


def _key(run: Run, observed: Sequence[Observation], after: list[bytes], point: SegmentPoint) -> str:
    before = [each for each in observed if each.t < point.t]
    sockets = {
        (each.node, each.cookie): each
        for each in before
        if isinstance(each, SocketSeen | SocketGone) and each.observer == "diag"
    }
    state = [_without_counters(each) for _, each in sorted(sockets.items(), key=lambda item: item[0])]
    flying = [
        (segment.sent, segment.sender, segment.flags, segment.seq, segment.ack, segment.length)
        for segment in run.record.segments
        if segment.sent is not None and segment.sent < point.t <= (segment.received or 0)
    ]
    rest = after[len(before)] if len(before) < len(after) else b""
    what = (point.t, point.sender, point.flags, point.length)
    return hashlib.blake2b(_encode((state, flying, what)) + rest, digest_size=12).hexdigest()


def _without_counters(observation: Observation) -> Observation:
    if not isinstance(observation, SocketSeen):
        return observation
    info = observation.info and msgspec.structs.replace(observation.info, segs_in=0, segs_out=0)
    # When it was polled before says nothing about the socket.
    return msgspec.structs.replace(observation, since=0, info=info)


def extensible(points: Iterable[SegmentPoint], found: Sequence[str], known: set[str]) -> list[SegmentPoint]:
    """The segments of a run whose places are not equivalent to known ones; they are known from then on."""
    kept = []
    for point, key in zip(points, found, strict=True):
        if key not in known:
            known.add(key)
            kept.append(point)
    return kept
