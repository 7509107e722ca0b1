"""handshake run: a Mininet script, unmodified, on any kernel, recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import WALL_LIMIT, choose_kernel
from handshake_lab.kernel.lab.lab_machine import LabMachine

#: Seconds of real time for a script that may ask a person, who may think: a week, longer than anybody waits.
_AT_A_TERMINAL = 7 * 86400.0


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--python",
    default=sys.executable,
    metavar="PATH",
    help="Python interpreter for the script, with Mininet installed; by default that of this command.",
)
@click.option(
    "--rate",
    default="100mbit",
    show_default=True,
    metavar="RATE",
    help="On the lab kernel, the rate of links to which the script gives no bandwidth; 0: no limit. Without a limit, a "
    "transfer such as iperf's never ends, because computing takes no virtual time.",
)
@click.option(
    "--wall-limit",
    metavar="TIME",
    help="Limit for the run in real time; by default 120 s, but none at a terminal, where a script may ask for input.",
)
@options.cost("only waiting takes virtual time")
@options.curves
@options.seed
@options.kernel
@options.machine
@options.out
@options.ladder
@options.language
def command(
    script: Path,
    arguments: tuple[str, ...],
    python: str,
    rate: str,
    wall_limit: str | None,
    cost: str | None,
    seed: int,
    kernel_name: str,
    memory: int | None,
    clock_start: str | None,
    out: Path | None,
    *,
    curves: bool,
    as_json: bool,
    plain: bool,
    lang: str,
) -> int:
    """Run a Mininet script and record its connections.

    The script runs unmodified, with the stock Mininet, as root in a separate kernel; this command needs no privilege.
    Options of this command precede SCRIPT; everything after SCRIPT is passed to the script.

    \b
    Examples:
      handshake run two_hosts.py
      handshake run --out my-run --seed 7 bufferbloat.py --bw-net 1.5 --delay 10
      handshake run --kernel host two_hosts.py
    """
    from handshake_lab.cli.run_and_show import show_run
    from handshake_lab.mininet_scripts.needed_programs import check_programs
    from handshake_lab.mininet_scripts.run_script import exit_status, script_run
    from handshake_lab.mininet_scripts.script_plan import ScriptPlan
    from handshake_lab.plan import units
    from handshake_lab.plan.cost import NO_COST, parse_cost

    if not script.is_file():
        raise UsageError("SCRIPT", str(script), "is not a file", "handshake run two_hosts.py")
    check_programs()
    if wall_limit:
        limit = units.duration("--wall-limit", wall_limit) / 1e9
    else:
        limit = _AT_A_TERMINAL if sys.stdin and sys.stdin.isatty() else WALL_LIMIT
    kernel = choose_kernel(kernel_name, seed, limit, machine=LabMachine.of(memory, clock_start))
    plan = ScriptPlan(
        script=str(script.absolute()),
        arguments=arguments,
        python=python,
        directory=str(Path.cwd()),
        kernel=kernel.info,
        rate=0 if kernel.info.real_time or rate == "0" else units.rate("--rate", rate),
        cost=parse_cost(cost) or NO_COST,
        curves=curves,
        replay=options.again(),
    )
    # Standard output contains only the document.
    shown = sys.stderr if as_json else sys.stdout
    with script_run(plan, kernel, out, shown.buffer) as run:
        verdict = show_run(run, out, as_json=as_json, plain=plain, lang=lang)
        return exit_status(run) or verdict
