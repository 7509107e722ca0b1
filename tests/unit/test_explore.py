"""Settings of an exploration, and how schedules are divided among workers."""

from __future__ import annotations

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.workers import parts
from handshake_lab.plan.schedule import Fate
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("text", ["faults=1 of=drop", "faults=2 of=drop,reset runs=7 budget=60s workers=2"])
def test_settings_are_written_as_they_are_read(text: str) -> None:
    """In one way."""
    assert str(Settings.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("faults=none", "none"),
        ("of=drop,dorp", "nearest is 'drop'"),
        ("budget=60", "60"),
        ("fault=1", "faults"),
        ("runs=-1", "-1"),
    ],
)
def test_invalid_settings_are_refused(text: str, named: str) -> None:
    """With the value, and with what was probably meant."""
    with pytest.raises(UsageError, match="explore") as refused:
        Settings.parse(text)
    assert named in str(refused.value)


@given(st.sets(st.integers(1, 30).map(lambda number: (Fate(number, "drop"),)), max_size=20), st.integers(1, 5))
def test_parts_are_neighbours(schedules: set[tuple[Fate, ...]], count: int) -> None:
    """Every schedule is in one part, and each part is a stretch of the tree."""
    divided = parts(list(schedules), count)
    assert [fates for part in divided for fates in part] == sorted(schedules)
    assert len(divided) <= count
