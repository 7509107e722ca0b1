"""handshake report: pages of many runs, with an index over them."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Where the pages go.  [default: FOLDER/report]"
)
@click.option("--title", metavar="TEXT", help="What the index is called.  [default: the folder's name]")
@options.language
def command(folder: Path, out: Path | None, title: str | None, lang: str) -> int:
    """Write an HTML page for every run under FOLDER, and an index over them.

    A test session keeps its runs with --artifacts; every page works from a file, without a network.

    \b
    Examples:
      handshake test --artifacts my-session && handshake report my-session
      handshake report my-session --out public --lang ko
    """
    from handshake_lab.report.html.run_pages import find, write

    directories = find(folder)
    if not directories:
        raise UsageError("FOLDER", str(folder), "holds no recorded run", "handshake report handshake-artifacts")
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
