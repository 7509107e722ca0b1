"""handshake report: HTML pages of many runs, with an index."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the pages to this directory.  [default: FOLDER/report]",
)
@click.option("--title", metavar="TEXT", help="Title of the index.  [default: the name of FOLDER]")
@options.language
def command(folder: Path, out: Path | None, title: str | None, lang: str) -> int:
    """Write an HTML page for every recorded run under FOLDER, and an index.

    The pages are self-contained: they need neither a server nor network access. FOLDER can be a directory that
    --out or --artifacts has filled.

    \b
    Examples:
      handshake demo --out runs/1 && handshake demo --loss 20% --out runs/2 && handshake report runs
      handshake report runs --out public --lang ko
    """
    from handshake_lab.report.html.run_pages import find, write

    directories = find(folder)
    if not directories:
        raise UsageError("FOLDER", str(folder), "contains no recorded run", "handshake report handshake-artifacts")
    where = out or folder / "report"

    def name(directory: Path) -> str:
        return directory.name if directory == folder else str(directory.relative_to(folder))

    try:
        with waiting("Writing pages", len(directories)) as step:
            index = write(directories, where, title=title or folder.resolve().name, lang=lang, name=name, done=step)
    except OSError as error:
        raise UsageError("--out", str(where), f"cannot be written ({error.strerror})", "--out pages") from None
    click.echo(str(index))
    return 0
