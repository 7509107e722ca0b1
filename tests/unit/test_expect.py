"""What scenarios hold a record against."""

from __future__ import annotations

import handshake_lab as hl
import pytest
import report_records as records
from handshake_lab.expect import timer_windows
from handshake_lab.recording.observations import KernelInfo
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import syn_schedule, synack_schedule
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000


@given(timer=st.floats(0.004, 200), plus=st.sampled_from([0.0, 0.1, 2.0]), hz=st.sampled_from([100, 250, 1000]))
def test_a_timer_is_never_early_and_at_most_an_eighth_and_a_jiffy_late(timer: float, plus: float, hz: int) -> None:
    """kernel/time/timer.c: [t, t·1.125 + 1 jiffy], and what passes besides."""
    expected = timer_windows.approx_timer(timer, plus=plus, hz=hz)

    assert expected == timer + plus
    assert expected == timer * 1.125 + 1 / hz + plus - 1e-8
    assert expected != timer + plus - 0.001
    assert expected != timer * 1.125 + 1 / hz + plus + timer_windows.COMPUTING + 0.001


def test_timers_one_after_the_other_may_each_be_late() -> None:
    """Two timers of 1 and 2 s end after 3 s at the earliest, and each has its own tolerance."""
    assert timer_windows.approx_timer(1, 2, hz=100) == 3.0
    assert timer_windows.approx_timer(1, 2, hz=100) == 3.39
    assert timer_windows.approx_timer(1, 2, hz=100) != 2.99
    assert timer_windows.approx_timer(1, 2, hz=100) != 3.41


def test_waits_count_every_sending() -> None:
    """One more time than there are waits, each at the distance of its timer from the previous one."""
    expected = timer_windows.approx_times(synack_schedule(), hz=250)

    assert expected == [0.05, 1.07, 3.1, 7.2, 15.4, 31.5]
    assert expected != [0.05, 1.07, 3.1, 7.2, 15.4]
    assert expected != [0.05, 1.04, 3.1, 7.2, 15.4, 31.5]
    assert expected != [0.05, 1.07, 3.1, 7.2, 15.4, 31.5, 63.9]
    assert repr(timer_windows.approx_waits(1, 2)) == "3 times with waits of 1-1.135, 2-2.26 s between them"


@pytest.mark.parametrize(("release", "again", "fails"), [((6, 1), [1, 3], 7), ((6, 5), [1, 2, 3, 4, 5], 7)])
def test_few_syn_retries_end_with_their_doubled_waits(release: tuple[int, int], again: list[int], fails: int) -> None:
    """retransmits_timed_out() ends a TCP_SYNCNT of 2 after 7 s, whether the linear SYNs were all sent or not."""
    schedule = syn_schedule(release, retries=2)

    assert [timer_windows.seconds(at) for at in schedule.again] == again
    assert timer_windows.approx_giving_up(schedule) == fails


@pytest.mark.parametrize(
    ("release", "later"), [("6.1.192", False), ("6.5.0-rc1", True), ("6.12.117+deb13-amd64", True), ("7.3.4", True)]
)
def test_kernels_are_compared_by_number(release: str, later: bool) -> None:
    """6.12 is later than 6.5, whatever a distribution adds to its name."""
    assert hl.kernel_since(KernelInfo("host", release, 250, None), 6, 5) is later


def test_segments_are_chosen_by_flags_sender_and_connection() -> None:
    """The SYN-ACK of this record was lost once and sent twice."""
    record = records.lost_syn_ack()
    client = hl.endpoint(record, "h1")

    assert hl.sent_flags(record, sender="h2")[:2] == ["SA", "SA"]
    assert len(hl.sent_at(record, "SA")) == 2
    assert hl.sent(record, of=client) == list(record.segments)
    assert hl.sent_between(record, 0, 0.001) == []


def test_an_injected_segment() -> None:
    """It is not among the segments that hosts sent; the error for a record without one names the number."""
    assert hl.crafted_segment(records.injected()).sent is None
    assert hl.crafted_segment(records.injected()) not in hl.sent(records.injected())
    with pytest.raises(LookupError, match="0 injected segments were recorded where one was expected"):
        hl.crafted_segment(records.normal())


def test_states_are_found_or_named_as_missing() -> None:
    """The error for a state that was never entered names those that were."""
    client = hl.endpoint(records.normal(), "h1")

    assert hl.entered(client, "ESTABLISHED") > hl.entered(client, State.SYN_SENT)
    assert "tracepoint" in hl.witnesses(client, "ESTABLISHED")
    with pytest.raises(LookupError, match="entered CLOSING 0 times, not 1: CLOSED → SYN-SENT → ESTABLISHED"):
        hl.transition(client, "CLOSING")


def test_of_several_connections_one_must_be_named() -> None:
    """The error for several endpoints lists them."""
    with pytest.raises(LookupError, match=r"h1 has 3 endpoints where one was expected\nclient .*: CLOSED"):
        hl.endpoint(records.many(3), "h1")
