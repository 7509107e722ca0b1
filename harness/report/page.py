"""One run as one self-contained HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.report import details, diagram_svg
from harness.report.connections import connections
from harness.report.judgement import Judgement, marks
from harness.report.rendering import render
from harness.report.rows import connection_view
from harness.report.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.judgement import Claim, Covered, Finding
    from harness.report.words import Words
    from harness.timeline.history import Record
    from harness.timeline.observations import Observation

#: How many connections a page draws; the others are in its table.
DRAWN = 20


def page(
    record: Record,
    observations: Iterable[Observation] = (),
    *,
    title: str,
    judgement: Judgement | None = None,
    replay: str = "",
    claims: Sequence[Claim] = (),
    coverage: Sequence[Covered] = (),
    back: str = "",
    lang: str = "en",
) -> str:
    """Write a run as an HTML page that needs nothing else.

    Args:
        record: The run.
        observations: What it was made of; gives the counters of links, faults and hosts.
        title: What was run, such as a test's name.
        judgement: What was expected and found; where they part is shown at the top.
        replay: The command that gives this run again.
        claims: Claims of the documents, measured.
        coverage: Edges of the state diagram, and how often they were taken.
        back: Where the index is, relative to the page.
        lang: ``en`` or ``ko``.
    """
    w = words(lang)
    judged = judgement or Judgement()
    found = connections(record)
    partings, parting = _partings(record, judged, w)
    views = [connection_view(record, each, judged, w, parting, drawn=place < DRAWN) for place, each in enumerate(found)]
    seen = list(observations)
    return render(
        "run.html.j2",
        w,
        title=title,
        back=back,
        badge=badge(judged, w),
        facts=details.facts(record, w),
        replay=replay,
        complete=record.complete,
        blinds=[
            w("verdict.blind", observer=observer, reason=reason)
            for observer, reason in record.header.observers.items()
            if reason
        ],
        partings=partings,
        findings=[_finding(each) for each in judged.findings],
        failures=details.failures(seen),
        objections=record.objections,
        hosts=sorted({host for each in found for host in (each.left.node, each.right.node) if host}),
        connections=views,
        undrawn=max(0, len(found) - DRAWN),
        diagram=Markup(str(diagram_svg.drawing(found[:DRAWN], w))),  # noqa: S704 - our own drawing, escaped by svg.py
        tables=details.tables(seen, w),
        claims=claims,
        coverage=coverage,
    )


def badge(judgement: Judgement, w: Words) -> dict[str, str] | None:
    """The verdict in one word, with a colour and a mark besides the colour."""
    if judgement.ok is None and not judgement.summary:
        return None
    text = judgement.summary or w("verdict.ok" if judgement.ok else "verdict.not_ok")
    if judgement.ok is None:
        return {"style": "quiet", "mark": "·", "text": text}
    return {"style": "good" if judgement.ok else "bad", "mark": "✓" if judgement.ok else "✗", "text": text}


def _finding(finding: Finding) -> dict[str, str]:
    if finding.ok is None:
        return {"style": "", "mark": "", "text": finding.text}
    return {"style": "good" if finding.ok else "bad", "mark": "✓" if finding.ok else "✗", "text": finding.text}


def _partings(record: Record, judgement: Judgement, w: Words) -> tuple[list[dict[str, Any]], frozenset[str]]:
    """Where expectation and reality part: both lists of states, side by side, and the transitions to mark."""
    views = []
    references: set[str] = set()
    for index, expected in judgement.expected.items():
        endpoint = record.endpoints[index]
        held = marks(endpoint.states, expected)
        if all(mark.ok for mark in held):
            continue
        first = next(mark for mark in held if mark.parts)
        after = [mark.place for mark in held[held.index(first) :] if mark.place]
        references.update(f"t{index}-{place - 1}" for place in after[:1])
        views.append(
            {
                "name": w("states.heading", node=endpoint.node, role=w(f"role.{endpoint.role}"), local=endpoint.local),
                "expected": [
                    {"state": mark.state, "no": not mark.ok} for mark in held if mark.ok or mark.place is None
                ],
                "observed": [{"state": mark.state, "no": not mark.ok} for mark in held if mark.place is not None],
            }
        )
    return views, frozenset(references)
