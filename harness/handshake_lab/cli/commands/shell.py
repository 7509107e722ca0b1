"""handshake shell: a live network whose clock stands while one thinks."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.kernel_name import check_lab


@click.command()
@click.argument("topology", default="pair")
@options.sysctls
@options.links
@options.seed
@options.forking_kernel()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the record up to the present moment in this directory: handshake serve shows how it grows.",
)
@options.language
def command(
    topology: str,
    links: tuple[str, ...],
    sysctls: tuple[str, ...],
    seed: int,
    kernel_name: str,
    out: Path | None,
    *,
    lang: str,
) -> int:
    """Use a network segment by segment; the clock waits for you.

    TOPOLOGY is a name from `handshake topology list`, a file with a Mininet Topo, or the directory of a recorded run:
    then the network has its topology and links. By default, it is two hosts and a switch.

    Every segment waits in the middle of the network until a command decides what happens to it. back returns to an
    earlier moment, from which another future can be taken.

    Commands are read from the terminal, or from a file: then the first one that fails ends the session. help lists
    them.

    \b
    Examples:
      handshake shell
      handshake shell star,n=3 --link delay=25ms
      handshake shell my-run
      handshake shell --link delay=25ms < commands.txt
      handshake shell --out my-runs/now

    \b
    In the shell:
      h2 python3 -m http.server 80 &
      h1 curl -s h2                    the SYN waits in the middle
      step                             it is delivered, and the SYN-ACK waits
      drop                             the SYN-ACK is lost
      run 5s                           the SYN is sent again, all is delivered
      ladder
      back #2                          the SYN-ACK waits again
      step
      diff                             both futures
      save test_handshake.py
    """
    from handshake_lab.cli.waiting import waiting
    from handshake_lab.experiment.execute import job_of, prepare_directory
    from handshake_lab.kernel.lab.lab_kernel import LabKernel
    from handshake_lab.plan.checks import check_requests, parse_links
    from handshake_lab.shell.moments import Moments
    from handshake_lab.shell.prompt import ask, follow
    from handshake_lab.shell.session import Session, Setting
    from handshake_lab.shell.shell_job import network_of, shell_plan

    if Path(topology).is_dir():
        topology, recorded = network_of(Path(topology))
        links = (*recorded, *links)
    link_specs = parse_links(links)
    planned = check_requests(topology, link_specs, ())
    options.print_notes(planned)
    settings = options.read_sysctls(sysctls, planned)
    check_lab(kernel_name, "cannot be forked, which moments require")
    kernel = choose_kernel(kernel_name, seed, fresh_boot=False)
    assert isinstance(kernel, LabKernel)  # noqa: S101 -- by its name
    out = prepare_directory(out) if out else None
    plan = shell_plan(kernel.info, topology, link_specs, settings)
    with job_of(plan) as job:
        with waiting(f"Starting Linux {kernel.info.release}"):
            moments = Moments(job, kernel)
        with moments:
            session = Session(moments, Setting(planned, topology, links, settings, seed, lang, out=out))
            if sys.stdin.isatty():
                ask(session)
            else:
                follow(session, sys.stdin)
    return 0
