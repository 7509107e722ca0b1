"""handshake explore: which lost, late or repeated segments break a test."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.checkout.pytest_run import run_pytest
from handshake_lab.cli import options
from handshake_lab.explore.settings import Settings
from handshake_lab.kernel.choose import choose_kernel


@click.command()
@click.option(
    "--faults",
    "most_faults",
    default=1,
    show_default=True,
    metavar="N",
    help="The largest number of faults in one run.",
)
@click.option(
    "--of",
    "kinds",
    default="drop",
    show_default=True,
    metavar="KINDS",
    help="What can happen to a segment: drop, duplicate, delay, reorder, reset, cut.",
)
@click.option("--runs", default=0, metavar="N", help="Make at most this many runs, whatever the number of workers.")
@click.option("--budget", default="", metavar="TIME", help="Begin no more runs after this wall time: 60s.")
@click.option("-n", "--workers", default=1, show_default=True, metavar="N", help="Processes that run schedules.")
@options.seed
@options.kernel
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="handshake-findings",
    show_default=True,
    metavar="DIR",
    help="The directory that keeps the records of findings.",
)
@click.argument("tests", nargs=-1, required=True)
def command(
    tests: tuple[str, ...],
    most_faults: int,
    kinds: str,
    runs: int,
    budget: str,
    workers: int,
    seed: int,
    kernel_name: str,
    out: Path,
) -> int:
    """Search what the network can do to a test until the test fails.

    TESTS are tests with the fixture net, as pytest names them. Each is run once to learn its segments. Then every
    segment is lost once, and so on, up to the number of faults in one run. A test's own assertions decide whether it
    fails. Each finding is run twice, made as small as possible, and written as a test beside the explored one.

    \b
    Examples:
      handshake explore tests/test_shop.py::test_order
      handshake explore tests/test_shop.py --faults 2 -n 2
      handshake explore tests/test_shop.py --of drop,delay,reset --runs 500
    """
    words = [f"faults={most_faults}", f"of={kinds}", f"workers={workers}"]
    words += [f"runs={runs}"] if runs else []
    words += [f"budget={budget}"] if budget else []
    settings = Settings.parse(" ".join(words))
    choose_kernel(kernel_name, seed)  # built now, with its progress shown
    line = ["-q", "--no-header", "-rP", "--handshake-explore", str(settings), "--handshake-findings", str(out)]
    return run_pytest([*line, "--handshake-seed", str(seed), *tests], Path.cwd(), kernel_name)
