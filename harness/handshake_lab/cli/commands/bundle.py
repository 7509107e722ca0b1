"""handshake bundle: a finding as one file, for somebody else."""

from __future__ import annotations

import tarfile
from pathlib import Path

import click

from handshake_lab.explore.keep import load


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The archive; by default, the finding's name with .tar.gz.",
)
@click.argument("finding", type=click.Path(file_okay=False, path_type=Path))
def command(finding: Path, output: Path | None) -> int:
    """Pack a finding of handshake explore into one file.

    It contains the record with its pages and capture, the record of a passing run for comparison, the explored test,
    and
    finding.json: the schedule, the kernel with its seed, and the Python version, and the machine's architecture.
    To run the finding again, unpack it next to the program that was tested, and use handshake explore --replay.

    \b
    Examples:
      handshake bundle handshake-findings/test_shop.py-test_order/drop-syn-nth-1-from-h1-47ecf5
      handshake bundle my-finding -o finding.tar.gz
    """
    kept = load(finding)
    test = Path(kept.target.partition("::")[0])
    archive = output or Path(f"{finding.name}.tar.gz")
    with tarfile.open(archive, "w:gz") as file:
        file.add(finding, arcname=finding.name)
        if test.exists():
            file.add(test, arcname=f"{finding.name}/{test.name}")
    click.echo(f"{archive}: {kept.target}, Linux {kept.kernel.release}, seed {kept.kernel.seed}, Python {kept.python}")
    return 0
