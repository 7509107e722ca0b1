"""handshake diff: compare two recorded runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError
from handshake_lab.report.text.escaping import visible

#: The width of plain text, and the minimum.
PLAIN, NARROWEST = 120, 72


@click.command()
@click.argument("one", metavar="A", type=click.Path(path_type=Path))
@click.argument("other", metavar="B", type=click.Path(path_type=Path))
@options.plain
@click.option("--all", "every", is_flag=True, help="Show equal events, too; without it, only a few around differences.")
@click.option("--width", type=click.IntRange(min=NARROWEST), metavar="N", help="Width in columns.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a self-contained HTML page instead."
)
@options.language
def command(
    one: Path, other: Path, html: Path | None, width: int | None, lang: str, *, plain: bool, every: bool
) -> int:
    """Compare two recorded runs side by side.

    The first difference is printed first. A and B are directories with an events.jsonl. Compared is what happened in
    each connection: segments by their flags, relative numbers and fate, and transitions by their cause. Times, ports
    and initial sequence numbers may differ. Exit status: 0 if the same happened, 1 if not.

    \b
    Examples:
      handshake diff passing-run failing-run
      handshake demo --out a && handshake demo --fault "drop SYN nth=1" --out b
      handshake diff a b --html difference.html
    """
    from handshake_lab.reconcile.pipeline import reconcile
    from handshake_lab.recording.events_file import read
    from handshake_lab.report.layout.differences import compare
    from handshake_lab.report.text.translations import words

    w = words(lang)
    with waiting("Reading both runs"):
        first, second = (reconcile(read(directory).observations) for directory in (one, other))
        difference = compare(first, second, w, whole=every)
    names = visible(str(one), 60), visible(str(other), 60)
    if html:
        from handshake_lab.report.html.comparison import comparison

        title = w("diff.title", left=names[0], right=names[1])
        try:
            html.write_text(comparison(first, second, title=title, names=names, lang=lang), "utf-8")
        except OSError as error:
            raise UsageError(
                "--html", str(html), f"cannot be written ({error.strerror})", "--html difference.html"
            ) from None
        click.echo(w("kept.page", path=visible(str(html))), err=True)
    else:
        from handshake_lab.report.terminal.side_by_side import side_by_side

        columns = width or (
            PLAIN if plain or not sys.stdout.isatty() else max(NARROWEST, shutil.get_terminal_size().columns)
        )
        click.echo(side_by_side(difference, names, w, columns, plain=plain), nl=False)
    return 0 if difference.same else 1
