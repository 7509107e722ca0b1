"""The pictures of a record as SVG files: the ladder of a connection, and the state diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.hops import hops
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg import diagram_svg, ladder_svg
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation


def ladder_picture(
    record: Record,
    number: int = 1,
    observations: Iterable[Observation] = (),
    *,
    lang: str = "en",
    axis: str = "sequence",
    fold: bool = True,
) -> str:
    """Draw the ladder of a connection.

    Args:
        record: The run.
        number: The connection's number, from 1 in order of time; it must be one of the record's.
        observations: The run's observations; those of routers give them lanes of their own.
        lang: ``en`` or ``ko``.
        axis: ``sequence`` or ``time``.
        fold: Whether to fold long sequences of ordinary data into one line each.
    """
    one = connections(record)[number - 1]
    drawn = ladder(one, middle(record, one), fold=fold, ways=hops(one.segments, observations))
    return ladder_svg.picture(drawn, words(lang), axis)


def diagram_picture(record: Record, number: int | None = None, *, lang: str = "en") -> str:
    """Draw the state diagram with the transitions of a run.

    Args:
        record: The run.
        number: Show only the transitions of this connection.
        lang: ``en`` or ``ko``.
    """
    shown = [each for each in connections(record) if number in (None, each.number)]
    return diagram_svg.picture(shown, words(lang))
