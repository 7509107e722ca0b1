"""Settings of an exploration, and how schedules are divided among workers."""

from __future__ import annotations

import msgspec
import pytest
from handshake_lab.errors import UsageError
from handshake_lab.explore.finding import Finding
from handshake_lab.explore.keep import KeptFinding, compared
from handshake_lab.explore.outcome import Failed, Outcome
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.workers import parts
from handshake_lab.plan.schedule import Fate, SegmentPoint
from handshake_lab.recording.observations import KernelInfo
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
        ("workers=4 on=tcp://127.0.0.1:8786", "has no effect on a cluster"),
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


def test_servers_are_restarted_only_where_one_runs() -> None:
    """At a segment to a host without a server, such a schedule would be the run without a fault."""
    settings = Settings.parse("of=drop,stop,kill,restart")
    point = SegmentPoint(1, 0, "h1", "h2", "S", 0, "SYN", 1, 1)
    assert settings.kinds_at(point) == ["drop"]
    assert settings.kinds_at(msgspec.structs.replace(point, serves=True)) == ["drop", "stop", "kill", "restart"]


def test_the_kernels_that_break_a_test_are_listed() -> None:
    """One line for each kernel; the same failure by another fault is the same failure."""

    def kept(fate: str) -> KeptFinding:
        point = SegmentPoint(1, 0, "h1", "h2", "S", 0, "SYN", 1, 1, fate=fate)
        outcome = Outcome((Fate(1, fate),), (point,), Failed("TimeoutError test_it.py:7", "timed out"), "")
        return KeptFinding("test_it.py::test_it", KernelInfo("lab", "7.3.4", 250, 1), Finding(outcome, 2))

    shown = compared({"6.1": [kept("drop")], "6.12": [], "7.3": [kept("duplicate")]})

    assert shown.splitlines() == [
        "test_it.py::test_it: TimeoutError test_it.py:7",
        "  Linux 6.1: drop SYN nth=1 from h1",
        "  Linux 6.12: nothing found",
        "  Linux 7.3: duplicate SYN nth=1 from h1",
    ]
    assert compared({"6.1": [], "7.3": []}) == "nothing found on Linux 6.1, 7.3"


def test_a_kernel_whose_exploration_failed_for_another_reason_is_named() -> None:
    """Such as an error, or a claim that was never true: there is no finding then."""
    assert compared({"6.1": [], "7.3": []}, ["7.3"]) == "Linux 6.1: nothing found\nLinux 7.3: failed, see above"
