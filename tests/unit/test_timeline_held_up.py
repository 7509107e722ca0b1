"""Where time is real, a kernel may be held up between a segment's arrival and what it does."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import KernelInfo, Observation, RunHeader, SegmentSeen, SocketSeen
from handshake_lab.tcp.states import State
from strategies import Plan, Sight, Talk, watched

MS = 1_000_000
PLAN = Plan(
    simultaneous=False, endings=("abort", "close"), when=(200, 500), data=(0, 0), delay=(50, 50), lost=frozenset()
)


def run(kind: Literal["lab", "host"], arrived: int) -> list[Observation]:
    """A connection that h1 aborts; the RST arrives at h2 this many ms before h2's socket closes."""

    def moved(each: Observation) -> Observation:
        at_h2 = isinstance(each, SegmentSeen) and each.node == "h2" and "R" in each.flags
        return msgspec.structs.replace(each, t=each.t - arrived * MS) if at_h2 else each

    seen = [moved(each) for each in watched(Talk(PLAN), Sight()) if not isinstance(each, SocketSeen)]
    assert isinstance(seen[0], RunHeader)
    head = msgspec.structs.replace(seen[0], kernel=KernelInfo(kind, "6.1.0", 250, None))
    return [head, *sorted(seen[1:-1], key=lambda each: each.t), seen[-1]]


@pytest.mark.parametrize(
    ("kind", "arrived", "reset"),
    [
        ("host", 0, True),
        ("host", 40, True),
        ("lab", 0, True),
        ("lab", 40, False),  # virtual time: what is 40 ms apart has nothing to do with each other
        ("host", -2, False),  # what comes later is no cause
    ],
)
def test_a_reset_may_have_come_a_while_before(kind: Literal["lab", "host"], arrived: int, reset: bool) -> None:
    """A busy machine's kernel takes a RST from its queue when it gets round to it, never before it is there."""
    seen = run(kind, arrived)

    server = next(end for end in reconcile(seen).endpoints if end.node == "h2")
    assert server.states[-2:] == [State.ESTABLISHED, State.CLOSED]
    assert (server.transitions[-1].edge == "26.ES") is reset
