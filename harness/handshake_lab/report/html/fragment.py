"""A run as a piece of HTML for a notebook: what happened, its ladders as pictures, its verdict.

Pictures are data URIs in ``img`` elements: their style sheets do not affect the notebook, and no script runs in them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from markupsafe import Markup

from handshake_lab.report.html.rendering import render
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.outline import outline
from handshake_lab.report.svg.record_svg import ladder_picture
from handshake_lab.report.terminal.ladder import DRAWN
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.verdict.judge import Verdict


def fragment(
    record: Record,
    *,
    verdict: Verdict | None = None,
    only: int | None = None,
    lang: str = "en",
    fold: bool = True,
    failures: Sequence[str] = (),
) -> str:
    """Write a run as a piece of HTML. The arguments are those of `handshake_lab.report.terminal.ladder.ladder`."""
    w = words(lang)
    found = connections(record)
    chosen = [each for each in found if only in (None, each.number) and each.segments]
    drawn = [(each.number, ladder_picture(record, each.number, lang=lang, fold=fold)) for each in chosen[:DRAWN]]
    deviations = [each for each in verdict.findings if each.ok is False] if verdict else []
    return render(
        "fragment.html.j2",
        w,
        sentences=" ".join(map(w.message, outline(record, found))),
        pictures=[
            (number, Markup(base64.b64encode(picture.encode()).decode()))  # noqa: S704 -- our own
            for number, picture in drawn
        ],
        more=len(chosen) - len(drawn),
        problems=[*(w.message(each.message or each.text) for each in deviations), *failures],
        verdict=w.summary(verdict) if verdict else "",
    )
