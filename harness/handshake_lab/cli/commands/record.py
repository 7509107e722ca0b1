"""handshake record: run programs over an emulated network and record their connections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.cli.run_and_show import carry_out
from handshake_lab.errors import UsageError
from handshake_lab.recording.observations import Program
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from handshake_lab.experiment.execute import Run

#: Lines of output that are printed per program where its output is not kept.
SHOWN_LINES = 20


@click.command()
@click.option(
    "--topology",
    default="pair",
    show_default=True,
    metavar="NAME",
    help="A name from `handshake topology list`, or a file.",
)
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
    help="Limit for the clients, in time of the kernel.",
)
@click.option(
    "--after",
    default="130s",
    show_default=True,
    metavar="TIME",
    help="Limit for their connections to end after the clients, in time of the kernel: TIME-WAIT takes a minute.",
)
@click.option(
    "--wall-limit",
    default="120s",
    show_default=True,
    metavar="TIME",
    help="Limit for the whole run in real time; on host and vm kernels the two limits above are added. A program "
    "that polls in a loop (such as iperf3) needs minutes for a second of the lab kernel's time.",
)
@options.seed
@options.kernel
@options.out
@click.option(
    "--watch",
    is_flag=True,
    help="While the programs run, show all sockets with their states, timers and queues on standard error: "
    "a table on a terminal, one line per change elsewhere.",
)
@options.ladder
@options.language
def command(
    topology: str,
    servers: tuple[str, ...],
    clients: tuple[str, ...],
    links: tuple[str, ...],
    faults: tuple[str, ...],
    time_limit: str,
    after: str,
    wall_limit: str,
    seed: int,
    kernel_name: str,
    out: Path | None,
    *,
    watch: bool,
    as_json: bool,
    plain: bool,
    lang: str,
) -> int:
    """Run programs in the hosts of a network and record every connection they make.

    Programs reach other hosts by name (h2). They run in the current directory, which is read-only on the lab kernel.
    With --out, the output of each program is kept beside the record, in HOST-server-1.out, HOST-client-1.err and so
    on; without it, the first lines are printed at the end.

    \b
    Examples:
      handshake record --server "python3 -m http.server 80" --client "curl -s http://h2/"
      handshake record --link delay=50ms,loss=2% --server "python3 -m http.server 80" \\
          --client "curl -s http://h2/" --out my-run
      handshake record --topology star,n=3 --server h3="python3 -m http.server 80" \\
          --client h1="curl -s http://h3/" --client h2="curl -s http://h3/"
    """
    from handshake_lab.plan.checks import check_requests
    from handshake_lab.plan.program import ProgramSpec, ProgramsSpec
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.plan.units import duration

    programs = (
        *(ProgramSpec.parse(text, "server", "h2", n) for n, text in enumerate(servers, 1)),
        *(ProgramSpec.parse(text, "client", "h1", n) for n, text in enumerate(clients, 1)),
    )
    if not programs:
        raise UsageError(
            "--server, --client", "", "are both missing: nothing would run", '--client "curl -s http://h2/"'
        )
    planned = check_requests(topology, links, faults)
    for program in programs:
        planned.node(program.node, f"--{program.role}")
    request = ProgramsSpec(
        programs, limit=duration("--time-limit", time_limit) / 1e9, after=duration("--after", after) / 1e9
    )
    wall = duration("--wall-limit", wall_limit) / 1e9
    if not kernel_name.startswith("lab"):
        wall += request.limit + request.after
    kernel = options.choose_kernel(kernel_name, seed, wall)
    plan = RunPlan(
        script="handshake_lab.experiment.workloads.servers_and_clients:script",
        argument=request,
        topology=topology,
        links=links,
        faults=faults,
        kernel=kernel.info,
        directory=str(Path.cwd()),
        # Often enough to watch; on the lab kernel the run is over before anybody could read a table.
        heartbeat=0.5 if watch and kernel.info.real_time else 5.0,
        replay=options.again(),
    )
    return carry_out(
        plan,
        kernel,
        out,
        as_json=as_json,
        plain=plain,
        lang=lang,
        watch=watch,
        after=lambda run: _print_programs(run, kept=out is not None),
    )


def _print_programs(run: Run, *, kept: bool) -> None:
    """Print how each program ended, and its output where it is not kept."""
    ends = {each.name: each.status for each in run.observations if isinstance(each, Program) and each.phase == "ends"}
    click.echo()
    for each in run.observations:
        if not (isinstance(each, Program) and each.phase == "starts"):
            continue
        status = ends.get(each.name, "still running when the recording ended")
        ended = f"exit status {status}" if status.isdigit() else status
        click.echo(f"{each.name}: {ended}: {visible(each.command)}")
        for ending in ("out", "err"):
            output = run.directory / f"{each.name}.{ending}"
            if kept or not output.exists():
                continue
            for line in output.read_text(errors="replace").splitlines()[:SHOWN_LINES]:
                click.echo(f"    {visible(line)}")
