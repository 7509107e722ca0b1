"""When a timer fires, by the table at the top of kernel/time/timer.c for HZ=250."""

from __future__ import annotations

from itertools import pairwise

import pytest
from handshake_lab.linux.timer_wheel import JIFFY, first_chance, unit
from hypothesis import given
from hypothesis import strategies as st

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("milliseconds", "granularity"),
    [
        (0, 4),
        (251, 4),
        (252, 32),
        (2015, 32),
        (2016, 256),
        (16127, 256),
        (16128, 2048),
        (129_023, 2048),
        (60_000, 2048),
    ],
)
def test_the_levels_are_those_of_the_kernel_s_table(milliseconds: int, granularity: int) -> None:
    """The columns "Granularity" and "Range" for HZ=250, in milliseconds."""
    assert unit(milliseconds * 1_000_000) * JIFFY == granularity * 1_000_000


@given(st.integers(0, 10**13), st.integers(0, 10**12))
def test_a_timer_fires_after_its_expiry_and_at_most_a_unit_later(expires: int, length: int) -> None:
    """Never early, and a longer timer has fewer chances, all of which a shorter one has, too."""
    chance = first_chance(expires, length)

    assert expires < chance <= expires + unit(length) * JIFFY
    units = [unit(length * times) for times in (1, 2, 4, 8, 16)]
    assert all(second % first == 0 for first, second in pairwise(units))
