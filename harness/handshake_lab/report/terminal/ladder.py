"""A run in the terminal: its ladder, its states, its verdict.

    >>> console.print(ladder(record, width=console.width))     # colours, for a terminal
    >>> text(record, width=80)                                 # the same without, stable to the byte
    >>> show(record, judgement=judgement)                      # to stdout, as fits it

`show` is what commands use: it measures the terminal and leaves colours out where nobody sees them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from handshake_lab.report.layout.connections import Connection, connections, middle
from handshake_lab.report.layout.lines import ladder as laid_out
from handshake_lab.report.terminal import tables
from handshake_lab.report.terminal.canvas import ASCII, BOX, LETTERS, Glyphs, Span, plain
from handshake_lab.report.terminal.ladder_rows import LadderRows
from handshake_lab.report.text.translations import words
from handshake_lab.verdict.expected_states import marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, Group

    from handshake_lab.recording.history import Record
    from handshake_lab.verdict.judge import Verdict

#: With more connections than this, the rest is only in the summary table.
DRAWN = 6

#: How many connections the summary table lists before it says how many there are more.
LISTED = 60

#: How wide plain text is, on whatever terminal: it must compare.
PLAIN = 80

#: The narrowest and the widest a report gets, in cells.
WIDTHS = (72, 132)


def ladder(
    record: Record,
    *,
    width: int = 80,
    judgement: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> Group:
    """Draw a run for a terminal.

    Args:
        record: The run.
        width: Cells to draw on; less than 72 is drawn on 72.
        judgement: What was expected and found. Without one, nothing is ticked.
        only: Draw this connection alone (they count from 1 in order of time).
        lang: ``en`` or ``ko``.
        fold: Put long runs of ordinary data on one line each.
        failures: What failed in the run, as `handshake_lab.recording.observations.Failure` says it.

    Returns:
        Something rich prints. All text is literal: no markup in it is obeyed.
    """
    from rich.console import Group  # noqa: PLC0415 - not needed for plain text
    from rich.text import Text  # noqa: PLC0415

    lines = _lines(record, width, BOX, judgement, only, lang, fold, failures)
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
    judgement: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> str:
    """Draw a run as plain text: no colours, no box characters, the same bytes every time.

    The arguments are those of `ladder`; the text ends in a newline.
    """
    lines = _lines(record, width, ASCII if lang == "en" else LETTERS, judgement, only, lang, fold, failures)
    return "\n".join(map(plain, lines)) + "\n"


def show(
    record: Record,
    *,
    console: Console | None = None,
    width: int | None = None,
    plain: bool = False,
    judgement: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> None:
    """Print a run to stdout, or to a console.

    Args:
        record: The run.
        console: Where to; stdout by default.
        width: Cells; by default the terminal's (80 where there is none), and `PLAIN` for plain text.
        plain: Print `text` rather than `ladder`.
        judgement: What was expected and found.
        only: Draw this connection alone.
        lang: ``en`` or ``ko``.
        fold: Put long runs of ordinary data on one line each.
        failures: What failed in the run.
    """
    if plain:
        written = text(
            record, width=width or PLAIN, judgement=judgement, only=only, lang=lang, fold=fold, failures=failures
        )
        (console.file if console else sys.stdout).write(written)
        return
    from rich.console import Console  # noqa: PLC0415 - not needed to import this module

    console = console or Console(highlight=False)
    if width:
        console.width = width  # or rich would fold what is wider than the terminal
    drawn = ladder(record, width=console.width, judgement=judgement, only=only, lang=lang, fold=fold, failures=failures)
    console.print(drawn, crop=False)


def _lines(
    record: Record,
    width: int,
    glyphs: Glyphs,
    judgement: Verdict | None,
    only: int | None,
    lang: str,
    fold: bool,
    failures: Sequence[str],
) -> list[list[Span]]:
    width = min(max(width, WIDTHS[0]), WIDTHS[1])
    tongue = words(lang)
    found = connections(record)
    lines = [*tables.title(record, glyphs, tongue, width), []]
    if not found:
        lines += [[(tongue("ladder.nothing"), "yellow")], []]
    if len(found) > 1 and only is None:
        lines += tables.summary(found[:LISTED], glyphs, tongue, width)
        if len(found) > LISTED:
            lines.append([(tongue("table.more", count=len(found) - LISTED), "yellow")])
        lines.append([])
    drawn = [each for each in found if only in (None, each.number)]
    seen: set[str] = set()
    for connection in drawn[:DRAWN]:
        if len(found) > 1:
            heading = f" {tongue('ladder.connection', number=connection.number)} "
            lines += [[(f"{glyphs.rule * 2}{heading}".ljust(width - 2, glyphs.rule), "bold")], []]
        lines += _connection(record, connection, width, glyphs, judgement, lang, seen, fold)
    if len(drawn) > DRAWN:
        lines += [[(tongue("ladder.more", count=len(drawn) - DRAWN), "yellow")], []]
    told = (
        tables.legend(seen, glyphs, tongue, width),
        tables.again(record, glyphs, tongue, width),
        tables.verdict(judgement, record, glyphs, tongue, width),
        tables.failed(failures, glyphs, tongue, width),  # the last line is what matters
    )
    for part in told:
        lines += [*part, []] if part else []
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _connection(
    record: Record,
    connection: Connection,
    width: int,
    glyphs: Glyphs,
    judgement: Verdict | None,
    lang: str,
    seen: set[str],
    fold: bool,
) -> list[list[Span]]:
    tongue = words(lang)
    lines: list[list[Span]] = []
    endpoint = connection.left.endpoint or connection.right.endpoint
    if connection.segments or (endpoint and endpoint.role != "listener"):
        rungs = LadderRows(laid_out(connection, middle(record, connection), fold=fold), width, glyphs, tongue)
        lines += [*rungs.lines(), []]
        seen |= rungs.seen
    for _, lane in connection.lanes:
        if lane.endpoint and lane.index is not None:
            held = marks(lane.endpoint, lane.index, judgement)
            lines += [*tables.endpoint_states(lane.endpoint, held, glyphs, tongue, width), []]
    return lines
