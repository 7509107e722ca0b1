"""The search, with runs that are computed instead of made in a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.explore.explain import inevitable
from handshake_lab.explore.outcome import Failed, Outcome
from handshake_lab.explore.search import Exploration, explore
from handshake_lab.explore.settings import Settings
from handshake_lab.plan.schedule import Fate, SegmentPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Fates = tuple[Fate, ...]


class Model:
    """Runs of a program with some segments; each segment that is dropped is sent again, at the end.

    Args:
        segments: How many segments a run without faults has.
        fails: Says whether a run fails, by the names of what is done.
        reverse: Give outcomes in the reverse order, as several workers may.
    """

    def __init__(self, segments: int, fails: Callable[[set[str]], bool], *, reverse: bool = False) -> None:
        self._segments = segments
        self._fails = fails
        self._reverse = reverse
        self.ran: list[Fates] = []

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules."""
        for fates in reversed(schedules) if self._reverse else schedules:
            self.ran.append(fates)
            yield self.outcome(fates)

    def outcome(self, fates: Fates) -> Outcome:
        """What a run gives: its segments get new numbers where one is sent again."""
        done = {fate.segment: fate.action for fate in fates}
        points: list[SegmentPoint] = []
        waiting = [f"data {number}" for number in range(1, self._segments + 1)]
        names: set[str] = set()
        while waiting and len(points) < 100:
            name = waiting.pop(0)
            number = len(points) + 1
            fate = done.get(number, "")
            if fate:
                names.add(f"{fate} {name}")
            if fate == "drop":
                waiting.append(f"{name} again")
            points.append(
                SegmentPoint(number, number, "h1", "h2", "A", 1, name, 1, 1, fate=fate),
            )
        failed = Failed("lost", "it failed") if self._fails(names) else None
        return Outcome(fates, tuple(points), failed, str(sorted(names)), frozenset(names))


def found(exploration: Exploration) -> list[list[str]]:
    """What is done in each finding."""
    return [[str(fate) for fate in finding.outcome.fates] for finding in exploration.findings]


def test_every_single_fault_is_tried_once() -> None:
    """Besides the run without faults."""
    model = Model(7, lambda _: False)

    exploration = explore(model, Settings(faults=1, of=("drop", "delay")))

    assert exploration.runs == 1 + 2 * 7 == len(set(model.ran))
    assert exploration.complete
    assert exploration.segments == 7


def test_every_pair_is_tried_once() -> None:
    """Including those whose second fault acts on what is sent again because of the first."""
    model = Model(4, lambda _: False)

    exploration = explore(model, Settings(faults=2))

    pairs = {fates for fates in model.ran if len(fates) == 2}
    assert pairs == {(Fate(i, "drop"), Fate(j, "drop")) for i in range(1, 5) for j in range(i + 1, 6)}
    assert exploration.runs == 1 + 4 + len(pairs)


def test_a_finding_loses_the_faults_that_do_not_matter() -> None:
    """Although the segments have other numbers without them."""

    def fails(names: set[str]) -> bool:
        return "drop data 3 again" in names or ("delay 1s data 2" in names and "drop data 4" in names)

    exploration = explore(Model(4, fails), Settings(faults=3, of=("drop", "delay"), findings=1))

    assert found(exploration) == [["delay 1s of segment 2", "drop of segment 4"]] or found(exploration) == [
        ["drop of segment 3", "drop of segment 5"]
    ]


def test_a_simpler_fault_is_preferred() -> None:
    """Where it fails in the same way."""
    exploration = explore(Model(3, lambda names: any("data 2" in name for name in names)), Settings(of=("cut",)))

    assert found(exploration) == [["drop of segment 2"]]


@pytest.mark.parametrize("runs", [1, 5, 20, 33])
@pytest.mark.parametrize("faults", [1, 2, 3])
def test_a_number_of_runs_is_exact(runs: int, faults: int) -> None:
    """Whatever the order in which outcomes come: the same schedules, and the same findings."""
    settings = Settings(faults=faults, of=("drop", "delay", "cut"), runs=runs)

    def fails(names: set[str]) -> bool:
        return {"drop data 3", "delay 1s data 5"} <= names or "cut 10s data 6" in names

    models = [Model(8, fails), Model(8, fails, reverse=True)]
    explorations = [explore(model, settings) for model in models]

    assert [each.runs for each in explorations] == [min(runs, 25) if faults == 1 else runs] * 2
    assert found(explorations[0]) == found(explorations[1])
    assert set(models[0].ran) == set(models[1].ran)


def test_a_guided_search_does_not_repeat_itself() -> None:
    """It makes as many different schedules as it may, with up to the number of faults."""
    model = Model(12, lambda _: False)

    exploration = explore(model, Settings(faults=4, of=("drop", "delay", "reset"), runs=150))

    assert exploration.runs == 150 == len(set(model.ran))
    assert {len(fates) for fates in model.ran} >= {0, 1, 2, 3}
    assert max(len(fates) for fates in model.ran) <= 4
    assert not exploration.complete
    assert exploration.features > 12


def test_an_interrupted_search_has_its_findings() -> None:
    """Ctrl-C ends the search, not what it has found."""

    def progress(state: Exploration) -> None:
        if state.runs == 6 and state.findings:
            raise KeyboardInterrupt

    exploration = explore(Model(5, lambda names: "drop data 2" in names), Settings(faults=2), progress)

    assert exploration.interrupted
    assert found(exploration) == [["drop of segment 2"]]


def test_a_saved_corpus_is_run_first() -> None:
    """Before anything else but the run without faults; and not a second time."""
    model = Model(5, lambda _: False)
    saved = [(), (Fate(4, "drop"), Fate(6, "drop")), (Fate(2, "drop"),)]

    exploration = explore(model, Settings(), corpus=saved)

    assert model.ran[:3] == saved
    assert exploration.runs == 7 == len(set(model.ran))


def test_the_last_segment_that_could_have_saved_a_run() -> None:
    """After it, the failure is inevitable."""
    model = Model(6, lambda names: "drop data 2" in names and "delay 1s data 4" not in names)
    outcome = model.outcome((Fate(2, "drop"),))

    why = inevitable(model, outcome)

    assert why is not None
    assert (why.segment.number, why.saved_by) == (4, "delay 1s")


def test_a_failure_that_nothing_saves() -> None:
    """Became inevitable with its last fault."""
    model = Model(6, lambda names: "drop data 2" in names)

    why = inevitable(model, model.outcome((Fate(2, "drop"),)))

    assert why is not None
    assert (why.segment.number, why.saved_by) == (2, "deliver")
