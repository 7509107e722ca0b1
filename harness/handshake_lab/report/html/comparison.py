"""Two runs side by side, as one self-contained HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handshake_lab.report.html.rendering import render
from handshake_lab.report.layout.differences import compare, heading
from handshake_lab.report.text.times import seconds, span
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.report.layout.differences import RunDifference
    from handshake_lab.report.text.translations import Words


def comparison(
    one: Record,
    other: Record,
    *,
    title: str,
    names: tuple[str, str] | None = None,
    facts: Sequence[str] = (),
    back: str = "",
    lang: str = "en",
) -> str:
    """Write the events of two runs beside each other, with their first difference marked.

    Args:
        one: The first run, on the left.
        other: The second run.
        title: What was run.
        names: What the runs are called; by default the first is the one that passes, and the second the one that fails.
        facts: What is known about the difference, in sentences.
        back: Where the page of the second run is, relative to this page.
        lang: ``en`` or ``ko``.
    """
    w = words(lang)
    difference = compare(one, other, w)
    return render(
        "comparison.html.j2",
        w,
        title=title,
        facts=[*facts, *([w("diff.same", latest=span(difference.latest))] if difference.same else [])],
        back=back,
        names=names or (w("page.passing"), w("page.failing")),
        settings=[(w(key), left, right) for key, left, right in difference.settings],
        views=difference_views(difference, w),
    )


def difference_views(difference: RunDifference, w: Words) -> list[dict[str, Any]]:
    """What differs between two runs, by connection, as plain values for a template."""
    views: list[dict[str, Any]] = []
    marked = False
    for each in difference.connections:
        rows = []
        for row in each.rows:
            rows.append(
                {
                    "skipped": w("diff.skipped", count=row.skipped) if row.skipped else "",
                    "sides": [
                        None if event is None else (seconds(event.time), event.text) for event in (row.left, row.right)
                    ],
                    "mark": row.mark,
                    "first": not (marked or row.same),
                }
            )
            marked = marked or not row.same
        views.append(
            {
                "heading": heading(each, w),
                "rows": rows,
                "skipped": w("diff.skipped", count=each.skipped) if each.skipped else "",
                "unaligned": w("diff.unaligned", count=each.unaligned) if each.unaligned else "",
            }
        )
    return views
