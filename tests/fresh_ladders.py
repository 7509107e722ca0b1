"""Plain ladders of new runs on a lab kernel, for the golden ladders and their test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.plan.checks import parse_faults, parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.report.terminal.ladder import text
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel

#: What is drawn: the demonstration's connection, with these faults.
FAULTS = {
    "nothing-lost": (),
    "syn-lost": ("drop SYN nth=1",),
    "syn-ack-lost": ("drop SYN-ACK nth=1",),
    "fin-lost": ("drop FIN nth=1",),
}
SEED = 1


def kernel() -> Kernel:
    """The lab kernel in use."""
    return choose_kernel("lab", SEED, fresh_boot=False)


def fresh(name: str, on: Kernel) -> str:
    """Record a run, and draw its report."""
    plan = RunPlan(
        script="handshake_lab.experiment.workloads.request_response:script",
        links=parse_links(["delay=50ms"]),
        faults=parse_faults(FAULTS[name]),
        kernel=on.info,
        replay="handshake demo",
    )
    with conducted(plan, on) as run:
        return text(run.record, verdict=judge(run.record))


def ladder_of(drawn: str) -> str:
    """Only the title, the sentences and the ladder of a report."""
    return "\n\n".join(drawn.split("\n\n")[:3]) + "\n"
