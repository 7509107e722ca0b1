"""Several processes give the outcomes of one, even if some of them are killed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from handshake_lab.experiment.execute import job_of
from handshake_lab.explore.target import Target
from handshake_lab.explore.walk import Walker
from handshake_lab.explore.workers import Processes, ThisProcess
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.plan.schedule import Fate

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.job import JobResult

EXCHANGE = "handshake_lab.experiment.workloads.request_response:script"
KERNEL = partial(choose_kernel, "lab", 1, fresh_boot=False)


def passes(_: JobResult) -> None:
    """No run fails by itself."""


def plan() -> RunPlan:
    """The exchange over 50 ms in each direction."""
    return RunPlan(script=EXCHANGE, links=parse_links(["delay=50ms"]), kernel=KERNEL().info)


def test_a_killed_worker_changes_nothing() -> None:
    """Another one runs its schedules: the same outcomes as in one process."""
    schedules = [(Fate(number, "drop"),) for number in range(1, 7)]
    with job_of(plan()) as job:
        target = Target("exchange", job, KERNEL, passes)
        with ThisProcess(target) as one:
            expected = {outcome.fates: outcome for outcome in one.run(schedules)}
        with Processes(target, 2) as several:
            found = {}
            for number, outcome in enumerate(several.run(schedules)):
                found[outcome.fates] = outcome
                if number == 0:
                    several.processes[-1].kill()
            found.update((outcome.fates, outcome) for outcome in several.run(schedules[-1:]))

    assert found == expected


def test_a_tree_gives_what_runs_from_the_start_give() -> None:
    """To the byte, wherever a run is parked and forked."""
    with job_of(plan()) as job, Walker(Target("exchange", job, KERNEL, passes)) as walker:
        (base,) = walker.walk([()])
        last = len(base.points)
        schedules: list[tuple[Fate, ...]] = [
            (Fate(1, "drop"), Fate(number, kind)) for number in (last - 1, last) for kind in ("drop", "duplicate")
        ]
        schedules += [(Fate(number, "drop"),) for number in range(last - 6, last)]
        together = {outcome.fates: outcome.digest for outcome in walker.walk(schedules)}
        forks = walker.forks
        alone = {fates: next(walker.walk([fates])).digest for fates in schedules}

    assert together == alone
    assert forks > len(schedules) + 1  # some runs were parked on their way


def test_a_run_repeats_itself() -> None:
    """To the byte."""
    with job_of(plan()) as job, ThisProcess(Target("exchange", job, KERNEL, passes)) as workers:
        digests = {next(workers.run([(Fate(4, "drop"),)])).digest for _ in range(5)}

    assert len(digests) == 1
