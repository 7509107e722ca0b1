"""handshake explore: search for segments whose loss, delay or duplication makes a test fail."""

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
    help="Maximum number of faults in one run.",
)
@click.option(
    "--of",
    "kinds",
    default="drop",
    show_default=True,
    metavar="KINDS",
    help="Kinds of faults to try: drop, duplicate, delay, reorder, reset, cut.",
)
@click.option("--runs", default=0, metavar="N", help="Maximum number of runs, for any number of workers.")
@click.option("--budget", default="", metavar="TIME", help="Start no more runs after this wall time: 60s.")
@click.option("-n", "--workers", default=1, show_default=True, metavar="N", help="Processes that run schedules.")
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
    """Search for faults on segments that make a test fail.

    TESTS are pytest's ids of tests with the fixture net. Each test is run once to learn its segments, and then once for
    each fault on each segment, and for combinations of up to --faults faults. A test's own assertions decide whether it
    fails. Each finding is run twice, reduced to few and simple faults, and written as a test beside the explored one.

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
