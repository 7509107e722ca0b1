"""handshake record: run programs over an emulated network and record their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from handshake_lab.cli import options
from handshake_lab.cli.run_and_show import carry_out
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.lab.lab_machine import LabMachine
from handshake_lab.kernel.shared.kernel_name import KernelName
from handshake_lab.recording.observations import Program
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.reconcile.stored_run import Run

#: Lines of output that are printed per program where its output is not kept.
SHOWN_LINES = 20


@click.command()
@options.topology
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="[HOST=]COMMAND",
    help="A program that listens, on h2 unless HOST is given. Repeatable.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="[HOST=]COMMAND",
    help="A program that connects, on h1 unless HOST is given; started when all servers listen. Repeatable.",
)
@options.network
@click.option(
    "--time-limit",
    default="600s",
    show_default=True,
    metavar="TIME",
    help="Limit for the clients, in the kernel's time.",
)
@click.option(
    "--after",
    default="130s",
    show_default=True,
    metavar="TIME",
    help="Maximum wait, after the clients have exited, until all connections have ended, in the kernel's time; "
    "TIME-WAIT takes a minute.",
)
@click.option(
    "--wall-limit",
    default="120s",
    show_default=True,
    metavar="TIME",
    help="Limit for the whole run, in real time; on host and vm kernels the two limits above are added to it. On the "
    "lab kernel, a program that polls in a loop (such as iperf3) can take minutes for one second of virtual time.",
)
@options.check_repeat
@options.cost("only waiting takes virtual time")
@options.curves
@options.seed
@options.kernel
@options.machine
@options.out
@options.html
@click.option(
    "--watch",
    is_flag=True,
    help="While the programs run, show all sockets with their states, timers and queues on standard error: "
    "a table on a terminal, one line per change elsewhere.",
)
@options.ladder
@options.language
@options.with_grammar
def command(
    out: Path | None, html: Path | None, *, check_repeat: bool, as_json: bool, plain: bool, lang: str, **asked: Any
) -> int:
    """Run programs over a network and record their connections.

    Programs reach other hosts by name (h2). They run in the current directory. On the lab kernel, they can write to any
    path, but only to the guest's memory: the host's files do not change. With --out, the output of each program is kept
    beside the record, in HOST-server-1.out, HOST-client-1.err and so on; without it, the first lines are printed at the
    end.

    \b
    Examples:
      handshake record --server "python3 -m http.server 80" --client "curl -s http://h2/"
      handshake record --link delay=50ms,loss=2% --server "python3 -m http.server 80" \\
          --client "curl -s http://h2/" --out my-run
      handshake record --topology star,n=3 --server h3="python3 -m http.server 80" \\
          --client h1="curl -s http://h3/" --client h2="curl -s http://h3/"
    """
    plan, kernel = planned(**asked)
    return carry_out(
        plan,
        kernel,
        out,
        as_json=as_json,
        plain=plain,
        lang=lang,
        watch=asked["watch"],
        html=html,
        check_repeat=check_repeat,
        after=lambda run: _print_programs(run, kept=out is not None),
    )


def planned(
    *,
    topology: str,
    servers: tuple[str, ...],
    clients: tuple[str, ...],
    links: tuple[str, ...],
    faults: tuple[str, ...],
    timed: tuple[tuple[str, str], ...],
    sysctls: tuple[str, ...],
    time_limit: str,
    after: str,
    wall_limit: str,
    cost: str | None,
    seed: int,
    kernel_name: str,
    memory: int | None,
    clock_start: str | None,
    curves: bool,
    watch: bool,
    fresh_boot: bool = True,
) -> tuple[RunPlan, Kernel]:
    """The plan of the options, and the kernel for it.

    Raises:
        UsageError: One is invalid.
        EnvironmentUnsupported: This machine cannot run the kernel.
    """
    from handshake_lab.plan.checks import parse_faults, parse_links
    from handshake_lab.plan.cost import parse_cost
    from handshake_lab.plan.program_run import check_programs, parse_programs, plan_of, wall_limit_of
    from handshake_lab.plan.units import duration

    programs = parse_programs(
        servers, clients, duration("--time-limit", time_limit) / 1e9, duration("--after", after) / 1e9
    )
    link_specs, wanted = parse_links(links), parse_faults(faults)
    network = check_programs(programs, topology, link_specs, wanted)
    options.print_notes(network)
    actions, settings = options.read_timed(timed, network), options.read_sysctls(sysctls, network)
    named = KernelName.parse(kernel_name)
    if watch and named.kind == "vm" and not named.real_time:
        reason = "shows a run while it takes place, but a machine in virtual time has its record only at the end"
        raise UsageError("--watch", kernel_name, reason, "--kernel vm --real-time --watch")
    wall = wall_limit_of(programs, kernel_name, duration("--wall-limit", wall_limit) / 1e9)
    machine = LabMachine.of(memory, clock_start)
    kernel = choose_kernel(kernel_name, seed, wall, machine=machine, fresh_boot=fresh_boot)
    plan = plan_of(
        programs,
        topology,
        link_specs,
        wanted,
        kernel.info,
        # Often enough to watch; on the lab kernel the run ends before anyone can read the table.
        heartbeat=0.5 if watch and kernel.info.real_time else 5.0,
        replay=options.again(),
        cost=parse_cost(cost),
        timed=actions,
        sysctls=settings,
        curves=curves,
    )
    return plan, kernel


def _print_programs(run: Run, *, kept: bool) -> None:
    """Print how each program ended, and its output where it is not kept."""
    ends = {each.name: each for each in run.observations if isinstance(each, Program) and each.phase == "ends"}
    click.echo()
    for each in run.observations:
        if not (isinstance(each, Program) and each.phase == "starts"):
            continue
        end = ends.get(each.name)
        status = end.status if end else "still running when the recording ended"
        ended = f"exit status {status}" if status.isdigit() else status
        if end and end.doing:
            ended = f"ended at the time limit, by {status} (it {end.doing})"
        click.echo(f"{each.name}: {ended}: {visible(each.command)}")
        for ending in ("out", "err"):
            output = run.directory / f"{each.name}.{ending}" if run.directory and not kept else None
            if output is None or not output.exists():
                continue
            for line in output.read_text(errors="replace").splitlines()[:SHOWN_LINES]:
                click.echo(f"    {visible(line)}")
