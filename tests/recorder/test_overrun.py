"""Losses of observers are recorded: if buffers overflow, the record states it and invents no states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.recording.observations import Missed
from handshake_lab.verdict.judge import judge
from jobs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.reconcile.stored_run import Run

CONNECTIONS = 150
TRUTH = {
    "client": ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"],
    "server": ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
}


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """A run in which both ring buffer and packet sockets overflow."""
    kernel = LabKernel(provide_lab.ensure())
    plan = RunPlan(script="tests.recorder.overrun:script", argument=CONNECTIONS, kernel=kernel.info)
    with conducted(plan, kernel, import_from=(REPOSITORY,)) as carried_out:
        yield carried_out


def test_each_observer_says_what_it_lost(run: Run) -> None:
    """The tracepoint for all hosts together, a capture for its own."""
    missed = {(each.observer, each.node): each.count for each in run.observations if isinstance(each, Missed)}

    assert missed.keys() == {("tracepoint", ""), ("capture", "h1"), ("capture", "h2")}
    assert all(count > CONNECTIONS for count in missed.values())


def test_the_record_and_its_verdict_say_so(run: Run) -> None:
    """As objections; states that could not be observed are not deviations."""
    said = " ".join(map(str, run.record.objections))
    verdict = judge(run.record)

    assert all(f"{who} lost" in said for who in ("tracepoint", "h1: capture", "h2: capture")), said
    assert verdict.summary == "as documented, as far as it was observed"


def test_no_state_is_made_up(run: Run) -> None:
    """Connections before and after are complete; of those in between nothing is invented."""
    ends = [end for end in run.record.endpoints if end.role != "listener"]

    assert {(end.node, end.role, end.local.port == 80, end.remote.port == 80) for end in ends} == {
        ("h1", "client", False, True),
        ("h2", "server", True, False),
    }
    for end in ends:
        walked = iter(TRUTH[end.role])
        assert all(state in walked for state in end.states), end
    for role, states in TRUTH.items():
        each = [end.states for end in ends if end.role == role]
        assert (each[0], each[-1]) == (states, states)
