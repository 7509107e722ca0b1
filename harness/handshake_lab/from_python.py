"""Recording programs from Python, as ``handshake record`` does."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.choose import WALL_LIMIT, choose_kernel
from handshake_lab.kernel.lab.lab_machine import LabMachine
from handshake_lab.kernel.shared.kernel_name import USUAL
from handshake_lab.plan.checks import parse_faults, parse_links
from handshake_lab.plan.cost import parse_cost
from handshake_lab.plan.program_run import check_programs, parse_programs, plan_of, wall_limit_of
from handshake_lab.plan.sysctls import sysctl_settings
from handshake_lab.plan.timed_action import parse_timed
from handshake_lab.report.kept_run import write_capture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.reconcile.stored_run import Run

#: Seconds of the kernel's time that clients may take.
TIME_LIMIT = 600.0
#: Seconds of the kernel's time for their connections to end after the clients: TIME-WAIT takes a minute.
AFTER = 130.0


def record(
    *,
    servers: Sequence[str] = (),
    clients: Sequence[str] = (),
    topology: str = "pair",
    links: Sequence[str] = (),
    faults: Sequence[str] = (),
    at: Sequence[tuple[str, str]] = (),
    sysctls: Mapping[str, str | int] | None = None,
    kernel: str = USUAL,
    seed: int = 1,
    out: str | Path | None = None,
    time_limit: float = TIME_LIMIT,
    after: float = AFTER,
    wall_limit: float = WALL_LIMIT,
    cost: str | None = None,
    curves: bool = True,
    memory: int | None = None,
    clock_start: str | None = None,
) -> Run:
    """Run programs in the hosts of a network, and record every connection that they make.

    The arguments have the syntax of the options of ``handshake record``:

        >>> run = record(  # doctest: +SKIP
        ...     servers=["python3 -m http.server 80"],
        ...     clients=["curl -s http://h2/"],
        ...     links=["delay=50ms"],
        ...     faults=["drop SYN-ACK nth=1"],
        ... )

    Args:
        servers: Programs that listen, on h2 unless ``HOST=`` precedes the command.
        clients: Programs that connect, on h1 unless ``HOST=`` precedes; started when all servers listen.
        topology: A name, or the path of a file with a Mininet topology: ``star,n=5``.
        links: Impairments of all links or of one: ``delay=50ms,loss=1%``, ``h1>h2:loss=5%``.
        faults: Faults on chosen segments: ``drop SYN nth=1 from h1``.
        at: What happens to the network at given times of the run: ``[("10s", "cut h1-s1 for 30s")]``.
        sysctls: Settings of the kernel in all hosts, or in one: ``{"h2:net.ipv4.tcp_syncookies": 2}``.
        kernel: The kernel that it runs on: ``lab``, ``lab:6.1``, ``host``, ``vm``, ``vm:6.12+real-time``.
        seed: The seed of a lab or vm kernel: the same seed gives the same record.
        out: The directory for the run's files: events, capture, and output of the programs. None: they are not kept.
        time_limit: Limit for the clients, in seconds of the kernel's time.
        after: Limit for their connections to end after the clients, in seconds of the kernel's time.
        wall_limit: Limit for the whole run, in seconds of real time; on kernels that run in real time, the two limits
            above are added.
        cost: Virtual time that system calls, clock readings and readings of the time-stamp counter take on a lab
            kernel: ``syscall=1us,clock=1us``, or ``none``.
        curves: Whether to record congestion windows and round-trip times, for ``handshake show --plot``.
        memory: The lab kernel's memory in MiB; 512 by default.
        clock_start: The lab kernel's wall clock at boot, in ISO 8601: ``2026-11-27T12:00``. By default, 2026-01-01.

    Raises:
        UsageError: An invalid value.
        EnvironmentUnsupported: This machine cannot run this kernel.
        HandshakeError: The run failed; see `handshake_lab.errors`.
    """
    programs = parse_programs(servers, clients, time_limit, after)
    link_specs, wanted = parse_links(links), parse_faults(faults)
    planned = check_programs(programs, topology, link_specs, wanted)
    for note in planned.notes:
        warnings.warn(f"topology: {note}", stacklevel=2)
    timed = parse_timed(at, "at")
    for action in timed:
        action.check(planned, "at")
    settings = {name: str(value) for name, value in (sysctls or {}).items()}
    sysctl_settings(planned, settings)
    machine = LabMachine.of(memory, clock_start)
    chosen = choose_kernel(kernel, seed, wall_limit_of(programs, kernel, wall_limit), machine=machine)
    costs = parse_cost(cost, "cost")
    plan = plan_of(
        programs, topology, link_specs, wanted, chosen.info, timed=timed, sysctls=settings, cost=costs, curves=curves
    )
    with conducted(plan, chosen, Path(out) if out is not None else None) as run:
        if run.directory is None or out is None:
            return replace(run, directory=None)
        write_capture(run.directory, run.record, run.observations)
        return run
