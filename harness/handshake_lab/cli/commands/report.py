"""handshake report: HTML pages of many runs, with an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from handshake_lab.report.export.machine_documents import ReportDocument
    from handshake_lab.report.html.index import RunRow


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the pages to this directory.  [default: FOLDER/report]",
)
@click.option("--title", metavar="TEXT", help="Title of the index.  [default: the name of FOLDER]")
@options.json("the path of the index")
@options.language
def command(folder: Path, out: Path | None, title: str | None, lang: str, *, as_json: bool) -> int:
    """Write HTML pages of recorded runs, with an index.

    There is one page for every run under FOLDER, which can be a directory that --out or --artifacts has filled. Pages
    are self-contained: they need neither a server nor network access.

    \b
    Examples:
      handshake demo --out runs/1 && handshake demo --loss 20% --out runs/2 && handshake report runs
      handshake report runs --out public --lang ko
    """
    from handshake_lab.recording.run_files import PAGE
    from handshake_lab.report.export.json_document import to_json
    from handshake_lab.report.html.run_pages import find, write

    directories = find(folder)
    if not directories:
        raise UsageError("FOLDER", str(folder), "contains no recorded run", "handshake report handshake-artifacts")
    where = out or folder / "report"
    title = title or folder.resolve().name

    def name(directory: Path) -> str:
        return directory.name if directory == folder else str(directory.relative_to(folder))

    try:
        with waiting("Writing pages", len(directories)) as step:
            rows = write(directories, where, title=title, lang=lang, name=name, done=step)
    except OSError as error:
        raise UsageError("--out", str(where), f"cannot be written ({error.strerror})", "--out pages") from None
    if as_json:
        click.echo(to_json(_document(title, where, rows)), nl=False)
    else:
        click.echo(str(where / PAGE))
    return 0


def _document(title: str, where: Path, rows: list[RunRow]) -> ReportDocument:
    from handshake_lab.recording.observations import FORMAT_VERSION
    from handshake_lab.recording.run_files import PAGE
    from handshake_lab.report.export.json_document import Seconds
    from handshake_lab.report.export.machine_documents import ReportDocument, ReportedRun

    runs = [
        ReportedRun(
            name=row.name,
            page=str(where / row.href),
            outcome=row.outcome,
            connections=row.connections,
            lost=row.lost,
            length=Seconds(row.length),
            time_wait=Seconds(row.time_wait),
        )
        for row in rows
    ]
    return ReportDocument(FORMAT_VERSION, title, str(where / PAGE), runs)
