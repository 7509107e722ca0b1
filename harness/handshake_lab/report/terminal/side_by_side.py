"""Two runs side by side in the terminal: the first on the left, the second on the right, like ``diff -y``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.layout.differences import LEFT, RIGHT, heading
from handshake_lab.report.text import cells
from handshake_lab.report.text.times import clock, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from handshake_lab.report.layout.differences import ConnectionDifference, Event, Row, RunDifference
    from handshake_lab.report.text.translations import Words

#: Cells for a time: seconds with three decimals.
_TIME = 10
#: The mark between the columns for an event of both runs.
SAME = " "


def side_by_side(difference: RunDifference, names: Sequence[str], words: Words, width: int, *, plain: bool) -> str:
    """Write a comparison as text, with the first difference at the top.

    Args:
        difference: The comparison.
        names: What the runs are called.
        words: The language.
        width: The width in cells.
        plain: Write ASCII only, as far as the language permits.
    """
    half = (width - 3) // 2
    convert = _ascii if plain else str
    lines = [*summary(difference, words), ""]
    lines.append(f"{cells.left(cells.fit(names[0], half), half)} | {cells.fit(names[1], half)}")
    for key, one, other in difference.settings:
        lines += _pair(f"{words(key)}: {one or '-'}", f"{words(key)}: {other or '-'}", "|", half, convert)
    for connection in difference.connections:
        lines += ["", heading(connection, words)]
        for row in connection.rows:
            lines += _skipped(row.skipped, words, width)
            lines += _row(row, half, convert)
        lines += _skipped(connection.skipped, words, width)
        if connection.unaligned:
            lines.append(words("diff.unaligned", count=connection.unaligned))
    return "\n".join(convert(line).rstrip() for line in lines) + "\n"


def summary(difference: RunDifference, words: Words) -> Iterator[str]:
    """The result in one or two sentences: the first difference, or that there is none."""
    for connection in difference.connections:
        if connection.same:
            continue
        if not (connection.left and connection.right):
            yield words("diff.missing", name=connection.name)
            continue
        first = connection.first
        if first is not None:
            yield words("diff.first", name=connection.name)
            yield f"  {LEFT} {_event(first.left, words)}"
            yield f"  {RIGHT} {_event(_counterpart(connection, first), words)}"
            return
    if difference.same:
        yield words("diff.same", latest=span(difference.latest, "us"))


def _counterpart(connection: ConnectionDifference, first: Row) -> Event | None:
    """What the second run has in the place of the first difference."""
    if first.right is not None:
        return first.right
    place = connection.rows.index(first)
    return next((row.right for row in connection.rows[place:] if row.right is not None), None)


def _event(event: Event | None, words: Words) -> str:
    return words("diff.nothing") if event is None else f"{clock(event.time, 3)}  {event.text}"


def _skipped(count: int, words: Words, width: int) -> list[str]:
    return [cells.fit(f"    ... {words('diff.skipped', count=count)} ...", width)] if count else []


def _ascii(text: str) -> str:
    return text.replace("→", "->").replace("–", "-").replace("…", "~")  # noqa: RUF001


def _row(row: Row, half: int, convert: Callable[[str], str]) -> list[str]:
    return _pair(_timed(row.left), _timed(row.right), row.mark or SAME, half, convert)


def _timed(event: Event | None) -> str:
    return "" if event is None else f"{clock(event.time, 3):>{_TIME - 2}}  {event.text}"


def _pair(one: str, other: str, mark: str, half: int, convert: Callable[[str], str]) -> list[str]:
    """Both texts beside each other, wrapped."""
    lefts, rights = (cells.wrap(convert(text), half) if text.strip() else [""] for text in (one, other))
    size = max(len(lefts), len(rights))
    lefts, rights = (list(each) + [""] * (size - len(each)) for each in (lefts, rights))
    return [f"{cells.left(a, half)} {mark} {b}" for a, b in zip(lefts, rights, strict=True)]
