"""handshake explore: search for segments whose loss, delay or duplication makes a test fail."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import click

from handshake_lab.checkout.pytest_run import run_pytest
from handshake_lab.cli import options
from handshake_lab.errors import UsageError
from handshake_lab.explore.choose_workers import check_cluster
from handshake_lab.explore.keep import compared, kept_since, load
from handshake_lab.explore.programs import programs_target, record_command
from handshake_lab.explore.properties import DEFAULT, PROPERTIES
from handshake_lab.explore.session import search_and_keep
from handshake_lab.explore.settings import ACTIONS, DESCRIPTORS, Settings
from handshake_lab.kernel.choose import WALL_LIMIT, choose_kernel


@click.command()
@click.option(
    "--faults",
    "most_faults",
    default=1,
    show_default=True,
    metavar="N",
    help="Maximum number of faults in one run.",
)
@click.option(
    "--of",
    "kinds",
    default="drop",
    show_default=True,
    metavar="KINDS",
    help=f"Kinds of faults to try: {', '.join(ACTIONS)}.",
)
@click.option("--runs", default=0, metavar="N", help="Maximum number of runs, over all workers together.")
@click.option("--budget", default="", metavar="TIME", help="Start no more runs after this wall time: 60s.")
@click.option("-x", "--first", is_flag=True, help="End with the first finding.")
@click.option(
    "--shuffle",
    default=0,
    metavar="N",
    help="Try the combinations of faults in random order; N is the seed of that order.",
)
@click.option(
    "--properties",
    default="",
    metavar="NAMES",
    help=f"Properties that every run must have: {', '.join((*PROPERTIES, DESCRIPTORS))}; or none. "
    f"Default: {', '.join(DEFAULT)}.",
)
@click.option("-n", "--workers", default=1, show_default=True, metavar="N", help="Processes that run schedules.")
@click.option(
    "--on",
    "scheduler",
    default="",
    metavar="ADDRESS",
    help="Run schedules on the workers of a Dask cluster: tls://scheduler:8786.",
)
@click.option(
    "--kernels",
    default="",
    metavar="VERSIONS",
    help="Explore on each of these lab kernels, one after the other: 6.1,7.3.",
)
@click.option(
    "--replay",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FINDING",
    help="Run a finding again instead, and compare its record.",
)
@click.option("--server", "servers", multiple=True, metavar="[HOST=]COMMAND", help="Explore programs: a server.")
@click.option("--client", "clients", multiple=True, metavar="[HOST=]COMMAND", help="Explore programs: a client.")
@click.option("--topology", default="pair", show_default=True, metavar="NAME", help="The network of programs.")
@options.links
@options.seed
@options.kernel
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="handshake-findings",
    show_default=True,
    metavar="DIR",
    help="Directory for the records of findings.",
)
@click.argument("tests", nargs=-1)
def command(
    tests: tuple[str, ...],
    most_faults: int,
    kinds: str,
    runs: int,
    budget: str,
    shuffle: int,
    properties: str,
    workers: int,
    scheduler: str,
    kernels: str,
    replay: Path | None,
    servers: tuple[str, ...],
    clients: tuple[str, ...],
    topology: str,
    links: tuple[str, ...],
    seed: int,
    kernel_name: str,
    out: Path,
    *,
    first: bool,
) -> int:
    """Find faults, applied to segments, that make a test fail.

    TESTS are pytest's ids of tests with the fixture net. Each test is run once to learn its segments, and then once for
    each fault on each segment, and for combinations of up to --faults faults. A test's own assertions decide whether it
    fails. Each finding is run twice, reduced to few and simple faults, and written as a test beside the explored one.

    With --server and --client, no test is needed: programs are run as by handshake record, and a run fails if it
    violates one of the --properties.

    \b
    Examples:
      handshake explore tests/test_shop.py::test_order
      handshake explore tests/test_shop.py --faults 2 -n 2
      handshake explore tests/test_shop.py --of drop,delay,reset --runs 500
      handshake explore tests/test_shop.py -x --kernels 6.1,7.3
      handshake explore tests/test_shop.py --faults 2 --on tls://scheduler:8786
      handshake explore --server "python3 -m http.server 80" --client "curl -s http://h2/" --of drop,reset
      handshake explore --replay handshake-findings/test_shop.py-test_order/drop-syn-nth-1-from-h1-47ecf5
    """
    line = ["-q", "--no-header", "-rP"]
    if replay is not None:
        if scheduler:
            raise UsageError("--on", scheduler, "has no effect with --replay", f"handshake explore --replay {replay}")
        kept = load(replay)
        line += ["--handshake-replay", str(replay), "--handshake-seed", str(kept.kernel.seed), kept.target]
        found_on = f"lab:{kept.kernel.release}" if kernel_name == "lab" else kernel_name
        return run_pytest(line, Path.cwd(), found_on)
    if not (tests or servers or clients):
        raise UsageError("TESTS", "", "names no test", "handshake explore tests/test_shop.py::test_order")
    words = [f"faults={most_faults}", f"of={kinds}", f"workers={workers}"]
    given = {"runs": runs, "budget": budget, "findings": int(first), "shuffle": shuffle, "properties": properties}
    given["on"] = scheduler
    words += [f"{name}={value}" for name, value in given.items() if value]
    settings = Settings.parse(" ".join(words))
    if scheduler:
        check_cluster(scheduler)
    line += ["--handshake-explore", str(settings), "--handshake-seed", str(seed)]

    def explored(name: str, place: Path) -> int:
        """Explore on one kernel; returns the exit status."""
        choose_kernel(name, seed)  # built now, with its progress shown
        if not (servers or clients):
            return run_pytest([*line, "--handshake-findings", str(place), *tests], Path.cwd(), name)
        names = (name, seed, WALL_LIMIT, settings.of_one_run)
        again = functools.partial(record_command, servers, clients, topology, links, seed)
        with programs_target(servers, clients, topology, links, *names) as wanted:
            exploration, text = search_and_keep(wanted, settings, place / "programs", again)
        click.echo(text)
        if exploration.interrupted:
            raise KeyboardInterrupt
        return int(bool(exploration.findings))

    if not kernels:
        return explored(kernel_name, out)
    began = time.time()
    statuses = {}
    for version in dict.fromkeys(version.strip() for version in kernels.split(",")):
        click.echo(f"Linux {version}")
        statuses[version] = explored(f"lab:{version}", out / version)
    failed = [version for version, status in statuses.items() if status]
    click.echo(compared({version: kept_since(out / version, began) for version in statuses}, failed))
    return max(statuses.values())
