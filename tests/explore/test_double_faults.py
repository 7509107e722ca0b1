"""TCP itself under every double fault: a handshake, an exchange and a close come out as documented.

Equivalent places are continued once: nothing that the others show is lost by that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from explore.watched import Watched
from handshake_lab.experiment.execute import job_of
from handshake_lab.explore.search import explore
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.target import Target
from handshake_lab.explore.workers import ThisProcess
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.kernel.shared.job import JobResult
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]

#: A handshake, a request with its response, and a close.
EXCHANGE = "handshake_lab.experiment.workloads.request_response:script"


def passes(_: JobResult) -> None:
    """No run fails by itself: the properties judge."""


@pytest.fixture(scope="module")
def workers() -> Iterator[ThisProcess]:
    """They run the exchange over 50 ms in each direction."""
    kernel = partial(choose_kernel, "lab", 1, fresh_boot=False)
    plan = RunPlan(script=EXCHANGE, links=parse_links(["delay=50ms"]), kernel=kernel().info)
    properties = Settings().of_one_run
    with job_of(plan) as job, ThisProcess(Target("exchange", job, kernel, passes, properties)) as made:
        yield made


@pytest.fixture(scope="module")
def doubles(workers: ThisProcess) -> dict[Fates, Outcome]:
    """The outcomes of every single and double loss, equivalent ones included."""
    every = Watched(workers)
    exploration = explore(every, Settings(faults=2, equivalent="run"))
    assert exploration.complete
    return every.outcomes


def test_every_double_loss_is_survived(doubles: dict[Fates, Outcome]) -> None:
    """Each pair of segments is lost once; all transitions are edges, and both ends come to CLOSED."""
    segments = len(doubles[()].points)
    singles = {fates for fates in doubles if len(fates) == 1}
    assert len(singles) == segments
    for fates in singles:
        after = [point.number for point in doubles[fates].points if point.number > fates[0].segment]
        assert {pair[1].segment for pair in doubles if pair[:1] == fates and len(pair) == 2} == set(after)
    for outcome in doubles.values():
        assert outcome.failed is None, outcome.failed
        assert f"states {State.CLOSED} {State.CLOSED}" in outcome.features


def test_cutting_loses_nothing(workers: ThisProcess, doubles: dict[Fates, Outcome]) -> None:
    """What a search with cuts leaves out has shown nothing else, and has the same end as a run that it makes."""
    cut = Watched(workers, doubles)
    exploration = explore(cut, Settings(faults=2))

    left_out = [outcome for fates, outcome in doubles.items() if fates not in cut.outcomes]
    assert 0 < exploration.equivalent == len(left_out)
    shown = frozenset().union(*(outcome.features for outcome in cut.outcomes.values()))
    ends = {outcome.keys[-1] for outcome in cut.outcomes.values()}
    for outcome in left_out:
        assert outcome.features <= shown
        assert outcome.keys[-1] in ends


def test_every_kind_of_single_fault_is_survived(workers: ThisProcess) -> None:
    """All kinds that TCP repairs: only a RST is for the program."""
    exploration = explore(workers, Settings(of=("duplicate", "delay", "reorder", "cut")))

    assert exploration.complete
    assert exploration.runs == 1 + 4 * exploration.segments
    assert exploration.findings == []
