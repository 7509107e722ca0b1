"""The plan of a run of programs: the request of ``handshake record``, checked before a kernel is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.plan.checks import check_requests
from handshake_lab.plan.cost import NO_COST
from handshake_lab.plan.program import ProgramSpec, ProgramsSpec
from handshake_lab.plan.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.plan.cost import Cost
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.plan.timed_action import TimedAction
    from handshake_lab.recording.observations import KernelInfo


def parse_programs(servers: Sequence[str], clients: Sequence[str], time_limit: float, after: float) -> ProgramsSpec:
    """Programs as on the command line.

    Raises:
        UsageError: There are none, or one is invalid.
    """
    programs = (
        *(ProgramSpec.parse(text, "server", "h2", number) for number, text in enumerate(servers, 1)),
        *(ProgramSpec.parse(text, "client", "h1", number) for number, text in enumerate(clients, 1)),
    )
    if not programs:
        raise UsageError(
            "--server, --client", "", "are both missing: there is nothing to run", '--client "curl -s http://h2/"'
        )
    return ProgramsSpec(programs, time_limit, after)


def check_programs(
    programs: ProgramsSpec, topology: str, links: Sequence[LinkSpec], faults: Sequence[Fault]
) -> NetworkPlan:
    """Check a network and the hosts of its programs, before a kernel is started.

    Returns:
        The network as it would be built.

    Raises:
        UsageError: A value is invalid, or the network has no such host.
    """
    planned = check_requests(topology, links, faults)
    for program in programs.programs:
        planned.node(program.node, f"--{program.role}")
    return planned


def wall_limit_of(programs: ProgramsSpec, kernel: str, wall_limit: float) -> float:
    """Seconds of real time for a run: where time is real, those of the programs are added."""
    return wall_limit if kernel.startswith("lab") else wall_limit + programs.limit + programs.after


def plan_of(
    programs: ProgramsSpec,
    topology: str,
    links: Sequence[LinkSpec],
    faults: Sequence[Fault],
    kernel: KernelInfo,
    *,
    heartbeat: float = 5.0,
    replay: str = "",
    timed: Sequence[TimedAction] = (),
    sysctls: Mapping[str, str] | None = None,
    cost: Cost | None = None,
    curves: bool = True,
) -> RunPlan:
    """The plan of a run of programs, which run in the current directory.

    Args:
        programs: The programs.
        topology: As for `handshake_lab.record`.
        links: Impairments of its links.
        faults: What is done to segments.
        kernel: Where it runs.
        heartbeat: Seconds between two polls of all sockets while nothing happens.
        replay: The command that repeats the run.
        timed: What happens to the network at given times.
        sysctls: Settings of hosts and routers.
        cost: What their use of the machine costs on a lab kernel; None: nothing, so that a run does not depend on how
            many system calls the length of a path takes.
        curves: Whether congestion windows and round-trip times are recorded.
    """
    return RunPlan(
        script="handshake_lab.experiment.workloads.servers_and_clients:script",
        argument=programs,
        topology=topology,
        links=tuple(links),
        faults=tuple(faults),
        kernel=kernel,
        directory=str(Path.cwd()),
        heartbeat=heartbeat,
        replay=replay,
        timed=tuple(timed),
        sysctls=dict(sysctls or {}),
        cost=cost or NO_COST,
        cost_optional=cost is None,
        curves=curves,
    )
