"""A thousand connections: every transition is observed with its cause, and none is invented."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from jobs import REPOSITORY
from recorder.thousand import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.reconcile.stored_run import Run

CONNECTIONS = 1000


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """A thousand connections on the lab kernel, a quarter closed in each way."""
    kernel = LabKernel(provide_lab.ensure(), wall_limit=300)
    plan = RunPlan(
        script="tests.recorder.thousand:script",
        argument=CONNECTIONS,
        links=parse_links(["delay=5ms"]),
        kernel=kernel.info,
    )
    with conducted(plan, kernel, import_from=(REPOSITORY,)) as carried_out:
        yield carried_out


@pytest.mark.parametrize("role", ["client", "server"])
def test_every_connection_has_its_whole_history(run: Run, role: str) -> None:
    """Each way of closing leads to the expected states on both sides, in the expected number."""
    seen = Counter(tuple(end.states) for end in run.record.endpoints if end.role == role)

    assert seen == {tuple(states[role == "server"]): CONNECTIONS // len(WAYS) for states in WAYS.values()}


def test_every_transition_has_a_cause_and_nobody_contradicts(run: Run) -> None:
    """Nothing is inferred or unexplained, and no observers disagree."""
    steps = [step for end in run.record.endpoints for step in end.transitions]

    assert not [step for step in steps if step.inferred or step.cause.kind == "unknown" or step.objection]
    assert run.record.objections == ()


def test_every_transition_is_an_edge_of_the_diagram(run: Run) -> None:
    """The edge's number is known for each."""
    assert not [step for end in run.record.endpoints for step in end.transitions if step.edge is None]
