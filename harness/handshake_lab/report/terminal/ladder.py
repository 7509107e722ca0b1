"""A run in the terminal: its ladder, its states, its verdict.

    console.print(ladder(record, width=console.width))     # colours, for a terminal
    text(record, width=80)                                 # plain text, the same bytes every time
    show(record, verdict=verdict)                          # to stdout, with its width

Commands use `show`: it uses the terminal's width, and colours only on a terminal. A notebook has no terminal: what
`drawn_by` is given draws there.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TextIO, cast

import msgspec

from handshake_lab.report.layout.connections import Connection, connections, middle
from handshake_lab.report.layout.lines import ladder as laid_out
from handshake_lab.report.layout.outline import outline
from handshake_lab.report.terminal import tables
from handshake_lab.report.terminal.canvas import ASCII, BOX, LETTERS, Glyphs, Span, plain
from handshake_lab.report.terminal.ladder_rows import LadderRows
from handshake_lab.report.text.translations import words
from handshake_lab.verdict.expected_states import marks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, Group

    from handshake_lab.recording.history import Record
    from handshake_lab.verdict.judge import Verdict

#: How many connections are drawn; further ones are only in the summary table.
DRAWN = 6

#: How many connections the summary table lists; of further ones it gives the number.
LISTED = 60

#: The width of plain text, which does not depend on the terminal, so that it can be compared.
PLAIN = 80

#: The minimum and maximum width of a report in cells.
WIDTHS = (72, 132)


class Drawing(Protocol):
    """Draws a run in place of the terminal; the arguments are those of `ladder`."""

    def __call__(
        self,
        record: Record,
        *,
        verdict: Verdict | None,
        only: int | None,
        lang: str,
        fold: bool,
        failures: Sequence[str],
    ) -> None:
        """Draw it."""


_in_place_of_terminal: ContextVar[Drawing | None] = ContextVar("_in_place_of_terminal", default=None)


@contextmanager
def drawn_by(drawing: Drawing) -> Iterator[None]:
    """Within the block, `show` has runs drawn by ``drawing``, unless it is to print plain text."""
    before = _in_place_of_terminal.set(drawing)
    try:
        yield
    finally:
        _in_place_of_terminal.reset(before)


def ladder(
    record: Record,
    *,
    width: int = 80,
    verdict: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> Group:
    """Draw a run for a terminal.

    Args:
        record: The run.
        width: The width in cells, at least 72.
        verdict: The verdict. Without it, states have no tick marks.
        only: Draw only this connection (numbers count from 1 in order of time).
        lang: ``en`` or ``ko``.
        fold: Whether to fold long sequences of ordinary data into one line each.
        failures: The failures of the run, from `handshake_lab.recording.observations.Failure`.

    Returns:
        A renderable for rich. All text is literal: markup in it has no effect.
    """
    from rich.console import Group  # noqa: PLC0415 - not needed for plain text
    from rich.text import Text  # noqa: PLC0415

    lines = _lines(record, width, BOX, verdict, only, lang, fold, failures)
    drawn = []
    for line in lines:
        text = Text(no_wrap=True, overflow="crop")
        for piece, style in line:
            text.append(piece, style)
        text.rstrip()
        drawn.append(text)
    return Group(*drawn)


def text(
    record: Record,
    *,
    width: int = 80,
    verdict: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> str:
    """Draw a run as plain text: no colours, no box characters, the same bytes every time.

    The arguments are those of `ladder`; the text ends in a newline.
    """
    lines = _lines(record, width, ASCII if lang == "en" else LETTERS, verdict, only, lang, fold, failures)
    return "\n".join(map(plain, lines)) + "\n"


def show(
    record: Record,
    *,
    console: Console | None = None,
    width: int | None = None,
    plain: bool = False,
    verdict: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> None:
    """Print a run to stdout, or to a console.

    Args:
        record: The run.
        console: The console; by default stdout.
        width: The width in cells; by default the terminal's (80 without a terminal), and `PLAIN` for plain text.
        plain: Print `text` instead of `ladder`.
        verdict: The verdict.
        only: Draw only this connection.
        lang: ``en`` or ``ko``.
        fold: Whether to fold long sequences of ordinary data into one line each.
        failures: The failures of the run.
    """
    drawing = _in_place_of_terminal.get()
    if drawing is not None and console is None and not plain:
        drawing(record, verdict=verdict, only=only, lang=lang, fold=fold, failures=failures)
        return
    if plain or not _can_draw(sys.stdout if console is None else cast("TextIO", console.file)):
        written = text(
            record, width=width or PLAIN, verdict=verdict, only=only, lang=lang, fold=fold, failures=failures
        )
        (console.file if console else sys.stdout).write(written)
        return
    from rich.console import Console  # noqa: PLC0415 - not needed to import this module

    console = console or Console(highlight=False)
    if width:
        console.width = width  # otherwise rich would wrap lines that are wider than the terminal
    drawn = ladder(record, width=console.width, verdict=verdict, only=only, lang=lang, fold=fold, failures=failures)
    console.print(drawn, crop=False)


def _can_draw(stream: TextIO) -> bool:
    """Whether a stream can show the characters with which a ladder is drawn."""
    try:
        "".join(value for value in msgspec.structs.astuple(BOX) if isinstance(value, str)).encode(
            stream.encoding or "utf-8"
        )
    except UnicodeEncodeError:
        return False
    return True


def _lines(
    record: Record,
    width: int,
    glyphs: Glyphs,
    verdict: Verdict | None,
    only: int | None,
    lang: str,
    fold: bool,
    failures: Sequence[str],
) -> list[list[Span]]:
    width = min(max(width, WIDTHS[0]), WIDTHS[1])
    texts = words(lang)
    found = connections(record)
    lines = [*tables.title(record, glyphs, texts, width), []]
    if not found:
        lines += [[(texts("ladder.nothing"), "yellow")], []]
    if sentences := outline(record, found):
        lines += [*tables.outline(sentences, glyphs, texts, width), []]
    if len(found) > 1 and only is None:
        lines += tables.summary(found[:LISTED], glyphs, texts, width)
        if len(found) > LISTED:
            lines.append([(texts("table.more", count=len(found) - LISTED), "yellow")])
        lines.append([])
    drawn = [each for each in found if only in (None, each.number)]
    seen: set[str] = set()
    for connection in drawn[:DRAWN]:
        if len(found) > 1:
            heading = f" {texts('ladder.connection', number=connection.number)} "
            lines += [[(f"{glyphs.rule * 2}{heading}".ljust(width - 2, glyphs.rule), "bold")], []]
        lines += _connection(record, connection, width, glyphs, verdict, lang, seen, fold)
    if len(drawn) > DRAWN:
        lines += [[(texts("ladder.more", count=len(drawn) - DRAWN), "yellow")], []]
    shown = (
        tables.legend(seen, glyphs, texts, width),
        tables.again(record, glyphs, texts, width),
        tables.verdict(verdict, record, glyphs, texts, width),
        tables.failed(failures, glyphs, texts, width),  # the last line is the most important one
    )
    for part in shown:
        lines += [*part, []] if part else []
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _connection(
    record: Record,
    connection: Connection,
    width: int,
    glyphs: Glyphs,
    verdict: Verdict | None,
    lang: str,
    seen: set[str],
    fold: bool,
) -> list[list[Span]]:
    texts = words(lang)
    lines: list[list[Span]] = []
    endpoint = connection.left.endpoint or connection.right.endpoint
    if connection.segments or (endpoint and endpoint.role != "listener"):
        rows = LadderRows(laid_out(connection, middle(record, connection), fold=fold), width, glyphs, texts)
        lines += [*rows.lines(), []]
        seen |= rows.seen
    for _, lane in connection.lanes:
        if lane.endpoint and lane.index is not None:
            held = marks(lane.endpoint, lane.index, verdict)
            lines += [*tables.endpoint_states(lane.endpoint, held, glyphs, texts, width), []]
    return lines
