"""Recordings of the lab kernel, read as if their captures had lost segments and known it: nothing is held against
what was not seen.
"""

from __future__ import annotations

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import Missed, Observation, SegmentSeen, StateChange
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import judge
from msgspec import structs
from recordings import only, recorded


def test_where_the_capture_lost_segments_nobody_says_that_a_fin_was_not_sent() -> None:
    """It may be among them: an observer that knows of its loss is no witness of what did not happen."""
    run = recorded("unsent_fin_later")

    record = reconcile([*run[:-1], Missed(run[-1].t, "capture", "h1", 1), run[-1]])

    assert not [each for each in judge(record).findings if each.message and "fin_queued" in each.message.code]
    assert "h1: capture lost reports (at least 1)" in str(record.objections[0])


def test_where_the_capture_lost_segments_nobody_says_that_no_reset_came() -> None:
    """Neither a RST by the kernel itself, nor SOCK_DESTROY."""
    run = [each for each in recorded("linger0") if not (isinstance(each, SegmentSeen) and "R" in each.flags)]
    softirq = [
        structs.replace(each, pid=4711) if isinstance(each, StateChange) and each.new is State.CLOSED else each
        for each in run
    ]
    lost = [Missed(run[-1].t, "capture", node, 1) for node in ("h1", "h2")]
    believed, doubted = (reconcile([*softirq[:-1], *more, run[-1]]) for more in ([], lost))
    causes = [str(only(record.endpoints, "h2").transitions[-1].cause.message) for record in (believed, doubted)]

    assert [sum("tcp_receive_reset" in str(each) for each in record.objections) for record in (believed, doubted)] == [
        1,
        0,
    ]
    assert causes == ["SOCK_DESTROY by another program", "not observed"]


def test_where_the_capture_lost_segments_nobody_says_that_the_network_did() -> None:
    """A retransmission is one all the same; why it was sent may be among what was lost."""
    run = recorded("syn_blackhole")
    lost = Missed(run[-1].t, "capture", "h2", 1)
    whole, blurred = (
        [
            finding.text
            for finding in judge(reconcile([*run[:-1], *more, run[-1]])).findings
            if "retransmitted" in finding.text
        ]
        for more in ([], [lost])
    )

    assert whole
    assert len(blurred) == len(whole)
    assert not any("was not captured" in each for each in whole)
    assert all(each.endswith("because of something that was not captured") for each in blurred)


def test_reading_a_transfer_that_the_captures_lost_half_of_takes_less_than_five_seconds() -> None:
    """Forty thousand segments, of which each end saw another half: nothing is compared with everything."""
    import time

    run = recorded("normal")
    seen = [each for each in run if isinstance(each, SegmentSeen)]
    data = next(each for each in seen if (each.flags, each.direction, each.node) == ("A", "sent", "h1"))
    arrived = next(each for each in seen if (each.flags, each.direction, each.node) == ("A", "received", "h2"))
    many: list[Observation] = []
    for number in range(40_000):
        which = data if number % 2 else arrived
        seq = (data.seq + number * 1000) % (1 << 32)
        frame = data.frame[:18] + (number % 65536).to_bytes(2, "big") + data.frame[20:38]
        frame += seq.to_bytes(4, "big") + data.frame[42:]
        many.append(structs.replace(which, t=which.t + number * 1000, seq=seq, length=1000, frame=frame))
    lost = [Missed(run[-1].t, "capture", node, 20_000) for node in ("h1", "h2")]

    began = time.process_time()
    record = reconcile([run[0], *sorted([*run[1:-1], *many], key=lambda each: each.t), *lost, run[-1]])
    took = time.process_time() - began

    assert len(record.segments) > 40_000
    assert took < 5
