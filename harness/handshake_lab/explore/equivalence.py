"""Which places in runs are equivalent: faults on the next segments there have the same effect.

Two places are considered equivalent if

- the last observed state of every socket is the same, with its timer, its queues, its round-trip time and its window;
- the same segments are in flight, sent at the same times;
- all later observations are the same, at the same times, if no other fault is added.

Times are compared to a tenth of a millisecond: TCP's timers count in jiffies (4 ms in the lab kernel). If an ACK is
lost that the next segment repeats, the sender measures a round-trip time that is a microsecond longer.

State of programs and of the kernel that cannot be observed may still differ: a program may remember something that none
of its later actions has shown. Counters of segments are ignored, since TCP makes no decision by them.
tests/explore/test_double_faults.py compares searches that cut equivalent places with searches that do not;
``equivalent=run`` disables the cut.
"""

from __future__ import annotations

import bisect
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.recording.observations import (
    Counters,
    FaultReport,
    QdiscReport,
    RunEnd,
    RunHeader,
    SegmentSeen,
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
#: Nanoseconds to which times are compared.
_GRAIN = 100_000
_encode = msgspec.json.Encoder().encode


def keys(run: Run, points: Sequence[SegmentPoint]) -> tuple[str, ...]:
    """A key for each segment of a run, equal if and only if the places before the segments are equivalent."""
    kept = [_gist(each) for each in run.observations if not isinstance(each, _SUMS)]
    gists = sorted(((gist.t, _encode(gist), gist) for gist in kept), key=lambda each: each[:2])
    observed = [gist for _, _, gist in gists]
    after = _later([encoded for _, encoded, _ in gists])
    times = [point.t // _GRAIN for point in points]
    # Several segments may leave at the same time: the first of them is not equivalent to the second.
    places = [place - bisect.bisect_left(times, time) for place, time in enumerate(times)]
    return tuple(_key(run, observed, after, point, place) for point, place in zip(points, places, strict=True))


def _later(observed: Sequence[bytes]) -> list[bytes]:
    """For each observation: a digest of it and of all later ones."""
    digest = b""
    digests = []
    for each in reversed(observed):
        digest = hashlib.blake2b(digest + each, digest_size=16).digest()
        digests.append(digest)
    return digests[::-1]


def _key(run: Run, observed: Sequence[Observation], after: Sequence[bytes], point: SegmentPoint, place: int) -> str:
    start = bisect.bisect_left(observed, point.t // _GRAIN, key=lambda each: each.t)
    sockets = {
        (each.node, each.cookie): each
        for each in observed[:start]
        if isinstance(each, SocketSeen | SocketGone) and each.observer == "diag"
    }
    state = [msgspec.structs.replace(each, t=0) for _, each in sorted(sockets.items(), key=lambda item: item[0])]
    flying = [
        (segment.sent // _GRAIN, segment.sender, segment.flags, segment.seq, segment.ack, segment.length)
        for segment in run.record.segments
        if segment.sent is not None and segment.sent < point.t <= (segment.received or 0)
    ]
    rest = after[start] if start < len(after) else b""
    what = (point.t // _GRAIN, place, point.sender, point.flags, point.length)
    return hashlib.blake2b(_encode((state, flying, what)) + rest, digest_size=12).hexdigest()


def _gist(observation: Observation) -> Observation:
    """An observation without what TCP does not decide by: counters, and the last digits of times."""
    changed: dict[str, Any] = {"t": observation.t // _GRAIN}
    if isinstance(observation, SocketSeen):
        info = observation.info
        if info is not None:
            rtt = info.rtt // (_GRAIN // 1000)
            info = msgspec.structs.replace(info, segs_in=0, segs_out=0, rtt=rtt)
        changed |= {"since": 0, "expires": observation.expires // _GRAIN, "info": info}
    elif isinstance(observation, SocketGone):
        changed["since"] = 0
    elif isinstance(observation, SegmentSeen):
        changed["frame"] = b""  # its fields are there; its options have times
    return msgspec.structs.replace(observation, **changed)


def extensible(points: Iterable[SegmentPoint], found: Sequence[str], known: set[str]) -> list[SegmentPoint]:
    """The segments of a run whose places are not equivalent to known ones; they are known from then on."""
    kept = []
    for point, key in zip(points, found, strict=True):
        if key not in known:
            known.add(key)
            kept.append(point)
    return kept
