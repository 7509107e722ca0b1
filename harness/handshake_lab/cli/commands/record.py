"""handshake record: run any programs over an emulated network, and record their connections."""

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

#: How many lines of a program's output are shown where it is not kept.
SHOWN_LINES = 20


@click.command()
@click.option(
    "--topology", default="pair", show_default=True, metavar="NAME", help="As `handshake topology list` shows."
)
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="[HOST=]COMMAND",
    help="A program that listens; on h2 unless a host is named. Repeatable.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="[HOST=]COMMAND",
    help="A program that connects, started when every server listens; on h1 unless a host is named. Repeatable.",
)
@options.network
@click.option(
    "--time-limit",
    default="600s",
    show_default=True,
    metavar="TIME",
    help="What the clients may take, in the kernel's time.",
)
@click.option(
    "--after",
    default="130s",
    show_default=True,
    metavar="TIME",
    help="What their connections may take to end after them: TIME-WAIT takes a minute.",
)
@click.option(
    "--wall-limit",
    default="120s",
    show_default=True,
    metavar="TIME",
    help="What the run may take of your own time, besides those two where the kernel's time is yours (host, vm). "
    "A program that waits in a loop (iperf3 does) needs minutes for a second of the lab kernel's time.",
)
@options.seed
@options.kernel
@options.out
@click.option(
    "--watch",
    is_flag=True,
    help="Meanwhile, show all sockets with their states, timers and queues on standard error: "
    "a table on a terminal, a line for each change elsewhere.",
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
    r"""Run programs in the hosts of a network and record every connection they make.

    Hosts know each other by name. Programs run in the current directory; on the lab kernel they
    cannot write to it. With --out, what each program printed is kept beside the
    record as HOST-server-1.out, HOST-client-1.err and so on; without it, it is shown at the end.

    \b
    Examples:
      handshake record --link delay=50ms,loss=2% --server "python3 -m http.server 80" \
          --client "curl -s http://h2/" --out my-run
      handshake record --topology star,4 --server h1="iperf3 -s -1" --client h2="iperf3 -c h1 -n 200K"
    """
    from handshake_lab.experiment.running_program import ProgramSpec, ProgramsSpec
    from handshake_lab.plan.checks import check_requests
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.plan.units import duration

    programs = (
        *(ProgramSpec.parse(text, "server", "h2", n) for n, text in enumerate(servers, 1)),
        *(ProgramSpec.parse(text, "client", "h1", n) for n, text in enumerate(clients, 1)),
    )
    if not programs:
        raise UsageError(
            "--server, --client", "", "are both missing: there is nothing to run", '--client "curl -s http://h2/"'
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
        script="handshake_lab.experiment.running_program:script",
        argument=request,
        topology=topology,
        links=links,
        faults=faults,
        kernel=kernel.info,
        directory=str(Path.cwd()),
        # The clock of a person who watches; the lab kernel's is past before anybody could look.
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
        after=lambda run: _tell_of_programs(run, kept=out is not None),
    )


def _tell_of_programs(run: Run, *, kept: bool) -> None:
    """How each program ended, and what it printed where that is not kept."""
    ends = {each.name: each.status for each in run.observations if isinstance(each, Program) and each.phase == "ends"}
    click.echo()
    for each in run.observations:
        if not (isinstance(each, Program) and each.phase == "starts"):
            continue
        status = ends.get(each.name, "still running when the recording ended")
        told = f"exit status {status}" if status.isdigit() else status
        click.echo(f"{each.name}: {told}: {visible(each.command)}")
        for ending in ("out", "err"):
            output = run.directory / f"{each.name}.{ending}"
            if kept or not output.exists():
                continue
            for line in output.read_text(errors="replace").splitlines()[:SHOWN_LINES]:
                click.echo(f"    {visible(line)}")
