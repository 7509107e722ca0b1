"""Records from lab kernels, for tests that read them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import RunHeader, SegmentSeen, SocketGone, SocketSeen
from msgspec import structs

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import Endpoint
    from handshake_lab.recording.observations import Observation

RUNS = Path(__file__).parent / "unit" / "fixtures" / "timeline"
_MICROSECOND = 1000


def recorded(name: str) -> tuple[Observation, ...]:
    """The observations of a run."""
    return read(RUNS / f"{name}.jsonl").observations


def only(ends: Iterable[Endpoint], node: str) -> Endpoint:
    """The only endpoint of a node."""
    (end,) = [end for end in ends if end.node == node]
    return end


def held_up(run: Sequence[Observation], chance: random.Random, share: float, longest: int) -> list[Observation]:
    """A run as on a machine that pauses sometimes: after a share of the events, for at most this many nanoseconds.

    In the lab all that a segment does happens in one moment; here its arrival is what comes first.
    """
    head = run[0]
    assert isinstance(head, RunHeader)
    real = structs.replace(head, kernel=structs.replace(head.kernel, kind="host", seed=None))
    apart = [
        structs.replace(each, t=max(each.t - _MICROSECOND, 0))
        if isinstance(each, SegmentSeen) and each.direction == "received"
        else each
        for each in run[1:]
    ]
    moments = sorted({each.t for each in apart})
    late = list(accumulate(chance.randrange(longest) if chance.random() < share else 0 for _ in moments))

    def warped(t: int) -> int:
        place = bisect_right(moments, t)
        return t + (late[place - 1] if place else 0)

    moved: list[Observation] = [real]
    for each in apart:
        since = {"since": warped(each.since)} if isinstance(each, SocketSeen | SocketGone) else {}
        moved.append(structs.replace(each, t=warped(each.t), **since))
    return moved
