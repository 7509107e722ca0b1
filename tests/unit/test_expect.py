"""What scenarios hold a record against."""

from __future__ import annotations

import doctest

import pytest
import report_records as records
from handshake_lab.expect import timer_windows
from handshake_lab.recording.observations import KernelInfo
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import syn_schedule, synack_schedule
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000


def test_its_examples_hold() -> None:
    """What the module's own documentation shows is so."""
    assert doctest.testmod(timer_windows).failed == 0


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
    """As many times as waits and one more, each as far from the one before as its timer says."""
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
    assert timer_windows.since(KernelInfo("host", release, 250, None), 6, 5) is later


def test_segments_are_chosen_by_flags_sender_and_connection() -> None:
    """The SYN-ACK of this record was lost once and sent twice."""
    record = records.lost_syn_ack()
    client = timer_windows.endpoint(record, "h1")

    assert timer_windows.flags(record, sender="h2")[:2] == ["SA", "SA"]
    assert len(timer_windows.sent_at(record, "SA")) == 2
    assert timer_windows.sent(record, of=client) == list(record.segments)
    assert timer_windows.sent_between(record, 0, 0.001) == []


def test_a_segment_of_nobody_is_made_up() -> None:
    """What the middle made is not among what hosts sent; a record without such a segment says so."""
    assert timer_windows.made_up(records.injected()).sent is None
    assert timer_windows.made_up(records.injected()) not in timer_windows.sent(records.injected())
    with pytest.raises(LookupError, match="0 segments were made up where one was expected"):
        timer_windows.made_up(records.normal())


def test_states_are_found_or_named_as_missing() -> None:
    """A state that was never entered is an error that tells which were."""
    client = timer_windows.endpoint(records.normal(), "h1")

    assert timer_windows.entered(client, "ESTABLISHED") > timer_windows.entered(client, State.SYN_SENT)
    assert "tracepoint" in timer_windows.witnesses(client, "ESTABLISHED")
    with pytest.raises(LookupError, match="was not in CLOSING 1 times: CLOSED → SYN-SENT → ESTABLISHED"):
        timer_windows.transition(client, "CLOSING")


def test_of_several_connections_one_must_be_named() -> None:
    """The only end of a connection is asked for; where there are more, they are shown."""
    with pytest.raises(LookupError, match="h1 has 3 ends of connections where one was expected"):
        timer_windows.endpoint(records.many(3), "h1")
