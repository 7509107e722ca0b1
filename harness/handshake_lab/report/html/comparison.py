"""Two runs side by side, as one self-contained HTML file: one that passes, and one that fails."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from handshake_lab.report.html.rendering import render
from handshake_lab.report.terminal.ladder import text
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Record


def comparison(
    passing: Record, failing: Record, *, title: str, facts: Sequence[str] = (), back: str = "", lang: str = "en"
) -> str:
    """Write the ladders of two runs beside each other, with their first difference marked.

    Args:
        passing: The run that passes.
        failing: The run that fails.
        title: What was run.
        facts: What is known about the failure, in sentences.
        back: Where the page of the failing run is, relative to this page.
        lang: ``en`` or ``ko``.
    """
    w = words(lang)
    ladders = [text(record, lang=lang).splitlines() for record in (passing, failing)]
    # The first line names the seed, the links and the faults, which differ by intention.
    both = list(zip_longest(ladders[0][1:], ladders[1][1:], fillvalue=""))
    first = next((place for place, (one, other) in enumerate(both) if one != other), len(both))
    return render(
        "comparison.html.j2",
        w,
        title=title,
        facts=list(facts),
        back=back,
        common="\n".join(one for one, _ in both[:first]),
        sides=[
            (w("page.passing"), "\n".join(one for one, _ in both[first:]).rstrip()),
            (w("page.failing"), "\n".join(other for _, other in both[first:]).rstrip()),
        ],
    )
