"""Schedules are the documented ones; windows are the kernel's."""

from __future__ import annotations

import pytest
from handshake_lab.tcp.timers import (
    ORPHAN_RETRIES,
    RETRIES_2,
    SECOND,
    TIME_WAIT,
    Window,
    keepalive_schedule,
    seconds,
    shortest_timeout,
    syn_schedule,
    synack_schedule,
)
from hypothesis import given
from hypothesis import strategies as st


def in_seconds(times: tuple[int, ...]) -> list[float]:
    """Nanoseconds as seconds."""
    return [time / SECOND for time in times]


def test_syn_before_6_5() -> None:
    """Six retransmissions, each wait twice the one before (ip-sysctl, tcp_syn_retries)."""
    schedule = syn_schedule((6, 1))

    assert in_seconds(schedule.again) == [1, 3, 7, 15, 31, 63]
    assert schedule.fails == 127 * SECOND
    assert schedule.sendings == 7


def test_syn_since_6_5() -> None:
    """Four linear timeouts come first, and are added to the retries (tcp_syn_linear_timeouts)."""
    schedule = syn_schedule((6, 5))

    assert in_seconds(schedule.again) == [1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
    assert schedule.fails == 131 * SECOND


def test_syncnt_2() -> None:
    """TCP_SYNCNT = 2 ends after 7 s on every release, however many linear retries are left."""
    assert in_seconds(syn_schedule((6, 1), retries=2).again) == [1, 3]
    assert syn_schedule((6, 1), retries=2).fails == 7 * SECOND
    assert in_seconds(syn_schedule((7, 3), retries=2).again) == [1, 2, 3, 4, 5]
    assert syn_schedule((7, 3), retries=2).fails == 7 * SECOND


def test_synack() -> None:
    """Five retransmissions; the request is dropped at 63 s."""
    assert in_seconds(synack_schedule().again) == [1, 3, 7, 15, 31]
    assert synack_schedule().fails == 63 * SECOND


def test_keepalive() -> None:
    """Idle, then probes; one interval after the last it is over."""
    schedule = keepalive_schedule(idle=SECOND, interval=SECOND, count=3)

    assert in_seconds(schedule.again) == [1, 2, 3]
    assert schedule.fails == 4 * SECOND


def test_patience() -> None:
    """tcp_retries2 = 15 is at least 924.6 s, an orphan's FIN at least 102.2 s, 3 retries 3 s (ip-sysctl)."""
    assert shortest_timeout(RETRIES_2) == seconds(924.6)
    assert shortest_timeout(ORPHAN_RETRIES) == seconds(102.2)
    assert shortest_timeout(3) == seconds(3.0)


@pytest.mark.parametrize(
    ("documented", "measured"),
    [(1, 1.02), (60, 61.7), (60, 62.43), (1, 1.0229)],
)
def test_measured_on_real_kernels(documented: float, measured: float) -> None:
    """What was measured is what the rule allows."""
    assert Window.of(seconds(documented), hz=100).contains(seconds(measured))


def test_series_measured_on_7_3() -> None:
    """Every timer of a series may be late: the windows add up."""
    schedule = syn_schedule((7, 3))
    measured = [1.0229, 2.0469, 3.0709, 4.0949, 5.1189, 7.1349, 11.2309, 19.4229, 35.5509, 68.5749]

    for place, time in enumerate(measured):
        assert schedule.window(place, hz=250).contains(seconds(time))
    assert schedule.window(-1, hz=250).contains(seconds(134.11))


@given(st.integers(1, 10**12), st.sampled_from([100, 250, 1000]))
def test_a_window_holds_its_timer_and_an_eighth_more(nanoseconds: int, hz: int) -> None:
    """[t, t·1.125 + 1 jiffy], and nothing outside."""
    window = Window.of(nanoseconds, hz=hz)

    assert window.contains(nanoseconds)
    assert window.contains(nanoseconds * 9 // 8 + SECOND // hz)
    assert not window.contains(nanoseconds - 1)
    assert not window.contains(nanoseconds * 9 // 8 + SECOND // hz + 1)


def test_a_window_is_written_in_seconds() -> None:
    """From the earliest moment to the latest."""
    assert str(Window.of(TIME_WAIT, hz=250)) == "60 s to 67.504 s"
