"""handshake show: print a recorded run again, or convert it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.series.plot import Kind, Plot


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@options.plain
@options.json("the ladder")
@click.option(
    "--svg",
    type=click.Choice(["ladder", "diagram"]),
    help="Print an SVG picture instead: the ladder, or the state diagram.",
)
@click.option(
    "--plot",
    type=click.Choice(["sequence", "cwnd", "rtt", "inflight", "throughput", "queue"]),
    help="Print an SVG picture of the data instead: sequence numbers, congestion window, round-trip time, bytes in "
    "flight, throughput, or the queues of links.",
)
@click.option("--csv", "as_csv", is_flag=True, help="With --plot: print the curves' points as CSV instead.")
@click.option(
    "--parquet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --plot: write the curves' points to a Parquet file instead (needs pyarrow).",
)
@click.option(
    "--axis",
    type=click.Choice(["sequence", "time"]),
    default="sequence",
    show_default=True,
    help="Vertical axis of the picture of a ladder: one step per event, or the time.",
)
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a self-contained HTML page instead."
)
@click.option(
    "--pcapng", type=click.Path(path_type=Path), metavar="FILE", help="Write a capture for Wireshark instead."
)
@click.option("--connection", type=click.IntRange(min=1), metavar="N", help="Show only this connection.")
@click.option("--all", "every", is_flag=True, help="Show every segment; without it, long runs of data are folded.")
@click.option(
    "--width",
    type=click.IntRange(min=72),
    metavar="N",
    help="Width of the ladder in columns; by default that of the terminal.",
)
@options.language
def command(
    directory: Path,
    svg: str | None,
    plot: Kind | None,
    parquet: Path | None,
    axis: str,
    html: Path | None,
    pcapng: Path | None,
    connection: int | None,
    width: int | None,
    lang: str,
    *,
    plain: bool,
    as_json: bool,
    as_csv: bool,
    every: bool,
) -> int:
    """Print a recorded run, or convert it. DIR is the directory with its events.jsonl.

    \b
    Examples:
      handshake demo --out my-run && handshake show my-run
      handshake show my-run --plain --width 100
      handshake show my-run --svg ladder --axis time > ladder.svg
      handshake show my-run --plot cwnd > cwnd.svg
      handshake show my-run --plot rtt --connection 1 --csv > rtt.csv
      handshake show my-run --plot cwnd --parquet cwnd.parquet
      handshake show my-run --html my-run.html --lang ko
      handshake show my-run --pcapng my-run.pcapng
    """
    from handshake_lab.reconcile.pipeline import reconcile
    from handshake_lab.recording.events_file import read
    from handshake_lab.recording.observations import Failure
    from handshake_lab.report.text.translations import words
    from handshake_lab.verdict.judge import judge

    _check(directory, {"--json": as_json, "--svg": svg, "--plot": plot, "--plain": plain}, parquet, as_csv=as_csv)
    with waiting(f"Reading {visible(str(directory))}"):
        log = read(directory)
        record = reconcile(log.observations)
        verdict = judge(record)
    if log.cut:
        click.echo(f"handshake: {directory}: {log.cut}", err=True)
    if html:
        from handshake_lab.report.html.page import page

        with _writing("--html", html), waiting(f"Writing {visible(str(html))}"):
            html.write_text(
                page(record, log.observations, title=directory.resolve().name, verdict=verdict, lang=lang), "utf-8"
            )
        click.echo(words(lang)("kept.page", path=visible(str(html))), err=True)
    if pcapng:
        from handshake_lab.report.export.pcapng import pcapng as packed

        with _writing("--pcapng", pcapng), waiting(f"Writing {visible(str(pcapng))}"):
            pcapng.write_bytes(packed(record, log.observations))
    if as_json:
        from handshake_lab.report.export.json_document import to_json
        from handshake_lab.report.export.run_document import run_document

        click.echo(to_json(run_document(record, verdict)), nl=False)
    elif plot:
        drawn = _plots(record, log.observations, plot, connection)
        if parquet:
            from handshake_lab.report.export.plot_parquet import plot_parquet

            with _writing("--parquet", parquet):
                plot_parquet(drawn, parquet)
        else:
            sys.stdout.write(_plotted(drawn, lang, as_csv=as_csv))
    elif svg:
        sys.stdout.write(_picture(record, log.observations, svg, axis, connection, lang, fold=not every))
    elif not html and not pcapng:
        from handshake_lab.report.terminal.ladder import show

        show(
            record,
            verdict=verdict,
            plain=plain,
            width=width,
            only=_number(record, connection),
            lang=lang,
            fold=not every,
            failures=[each.what for each in log.observations if isinstance(each, Failure)],
        )
    return verdict.exit_code


def _check(directory: Path, wanted: dict[str, object], parquet: Path | None, *, as_csv: bool) -> None:
    """Refuse options that exclude each other, and those that need another one."""
    show = f"handshake show {directory}"
    if as_csv and not wanted["--plot"]:
        raise UsageError("--csv", True, "needs --plot", f"{show} --plot cwnd --csv")
    if parquet and (as_csv or not wanted["--plot"]):
        reason = "and --csv are alternatives" if as_csv else "needs --plot"
        raise UsageError("--parquet", str(parquet), reason, f"{show} --plot cwnd --parquet cwnd.parquet")
    chosen = [name for name, given in wanted.items() if given]
    if len(chosen) > 1:
        raise UsageError(chosen[-1], True, f"and {chosen[0]} cannot both be printed", f"{show} {chosen[0]}")


def _picture(
    record: Record,
    observations: Sequence[Observation],
    svg: str,
    axis: str,
    number: int | None,
    lang: str,
    *,
    fold: bool,
) -> str:
    from handshake_lab.report.layout.connections import connections
    from handshake_lab.report.svg.record_svg import diagram_picture, ladder_picture

    number = _number(record, number)
    if svg == "diagram":
        return diagram_picture(record, number, lang=lang)
    if not connections(record):
        raise UsageError("--svg", svg, "cannot be drawn: no TCP connection was recorded", "--svg diagram")
    return ladder_picture(record, number or 1, observations, lang=lang, axis=axis, fold=fold)


def _plots(record: Record, observations: Sequence[Observation], kind: Kind, number: int | None) -> list[Plot]:
    from handshake_lab.report.series.plots import plots

    drawn = plots(record, observations, [kind], _number(record, number))
    if not drawn:
        why = "no segment crossed a link with a delay or a rate" if kind == "queue" else "no data was sent"
        raise UsageError("--plot", kind, f"cannot be drawn: {why}", "handshake show my-run --svg ladder")
    return drawn


def _plotted(drawn: Sequence[Plot], lang: str, *, as_csv: bool) -> str:
    from handshake_lab.report.export.plot_csv import plot_csv
    from handshake_lab.report.svg.plot_svg import picture
    from handshake_lab.report.text.translations import words

    return plot_csv(drawn) if as_csv else picture(drawn, words(lang))


def _number(record: Record, number: int | None) -> int | None:
    from handshake_lab.report.layout.connections import connections

    if number is not None:
        count = len(connections(record))
        if number > count:
            raise UsageError("--connection", number, f"is not one of the {count} recorded", "--connection 1")
    return number


@contextmanager
def _writing(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            option, str(path), f"cannot be written ({error.strerror})", f"{option} my-run{path.suffix}"
        ) from None
