"""One run as one self-contained HTML file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.recording.observations import Failure, Program
from handshake_lab.report.html import run_facts
from handshake_lab.report.html.connection_rows import COLUMNS, connection_view, fate_of
from handshake_lab.report.html.plot_data import plot_sections, with_much_data
from handshake_lab.report.html.rendering import render
from handshake_lab.report.html.segment_store import segment_store
from handshake_lab.report.html.unusual import unusual
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.hops import hops, path
from handshake_lab.report.layout.lines import SEGMENTS_SHOWN
from handshake_lab.report.layout.outline import outline
from handshake_lab.report.svg import diagram_svg
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.translations import words
from handshake_lab.verdict.expected_states import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.html.rendering import Served
    from handshake_lab.report.text.translations import Words
    from handshake_lab.verdict.expected_states import Claim, Covered
    from handshake_lab.verdict.judge import Finding, Verdict

#: How many connections a page draws; the others are in its table.
DRAWN = 20

#: With more findings than this, all but the deviations are folded.
FINDINGS = 12


def page(
    record: Record,
    observations: Iterable[Observation] = (),
    *,
    title: str,
    verdict: Verdict | None = None,
    replay: str = "",
    claims: Sequence[Claim] = (),
    coverage: Sequence[Covered] = (),
    printed: Sequence[tuple[str, str]] = (),
    back: str = "",
    lang: str = "en",
    served: Served | None = None,
) -> str:
    """Write a run as a self-contained HTML page.

    Args:
        record: The run.
        observations: Its observations, with the counters of links, faults and hosts.
        title: What was run, such as a test's name.
        verdict: The verdict; the first difference from the expected states is shown at the top.
        replay: The command that repeats this run; by default the one in the record.
        claims: The measured claims of the documents.
        coverage: Edges of the state diagram, and how often they were taken.
        printed: What a failed test printed, as titles and texts: its output, and its traceback with the title "".
        back: Where the index is, relative to the page.
        lang: ``en`` or ``ko``.
        served: How a server shows it; None: it is self-contained.
    """
    w = words(lang)
    found = connections(record)
    differences, marked = _differences(record, verdict, w)
    seen = list(observations)
    ways = hops((*record.segments, *record.datagrams), seen)
    views = [
        connection_view(record, each, verdict, w, marked, ways, drawn=place < DRAWN) for place, each in enumerate(found)
    ]
    hosts = sorted({host for each in found for host in (each.left.node, each.right.node) if host})
    for view, each in zip(views, found, strict=True):
        # By number, because a name may contain any characters and be of any length.
        view["hosts"] = json.dumps([str(hosts.index(node) + 1) for node in (each.left.node, each.right.node) if node])
    rich = with_much_data(found)
    kinds, curves = plot_sections(record, seen, rich, w)
    drawn = {view["number"] for view in views if view["drawn"]}
    long = {each.number: each for each in rich if len(each.segments) > SEGMENTS_SHOWN and each.number in drawn}
    for view in views:
        view["timeline"] = view["number"] in long
    programs = [each for each in seen if isinstance(each, Program)]
    return render(
        "run.html.j2",
        w,
        with_plots=bool(kinds),
        served=served,
        kinds=kinds,
        columns=[key for key in COLUMNS if key != "path" or ways],
        # A ladder that shows every segment comes first.
        plots_first=any(len(each.segments) > SEGMENTS_SHOWN for each in found),
        curves=curves,
        store=segment_store(
            list(long.values()),
            lambda each, segment: fate_of(each, segment, w),
            {number: path(each, w) for number, each in ways.items()},
            lambda each: run_facts.marks(each, programs, w),
        )
        if long
        else "",
        title=title,
        back=back,
        badges=_badges(verdict, w, failed=any(isinstance(each, Failure) for each in seen)),
        unusual=unusual(found, w),
        outline=" ".join(w.message(each) for each in outline(record, found)),
        facts=run_facts.facts(record, w),
        replay=command.split("\n") if (command := replay or record.header.replay) else [],
        complete=record.complete,
        blinds=[
            w("verdict.blind", observer=observer, reason=reason)
            for observer, reason in record.header.observers.items()
            if reason
        ],
        differences=differences,
        **_findings(verdict, w),
        failures=run_facts.failures(seen),
        printed=[{"title": name or w("page.traceback"), "lines": run_facts.last_lines(text)} for name, text in printed],
        objections=[w.message(each) for each in record.objections],
        hosts=[visible(host, 40) for host in hosts],
        connections=views,
        undrawn=max(0, len(found) - DRAWN),
        diagram=Markup(str(diagram_svg.drawing(found[:DRAWN], w))),  # noqa: S704 - our own drawing, escaped by svg/elements.py
        tables=run_facts.tables(seen, w),
        claims=claims,
        coverage=coverage,
    )


def _badges(verdict: Verdict | None, w: Words, *, failed: bool) -> list[dict[str, str]]:
    """Badges for a failure and for the verdict: short texts with a mark in addition to the colour."""
    out = [{"style": "bad", "mark": "✗", "text": w("outcome.failed")}] if failed else []
    if verdict is not None:
        # A run can fail because it differs from a test's expectation, although TCP behaved as documented.
        style = "bad" if not verdict.ok else "quiet" if failed or verdict.neutral else "good"
        mark = "" if verdict.neutral else "✓" if verdict.ok else "✗"
        out.append({"style": style, "mark": mark, "text": w.summary(verdict)})
    return out


def _findings(verdict: Verdict | None, w: Words) -> dict[str, list[dict[str, str]]]:
    """The findings above the ladder, and those that are folded: if there are many, all but the deviations."""
    found = verdict.findings if verdict else ()
    many = len(found) > FINDINGS
    return {
        "findings": [_finding(each, w) for each in found if not many or each.ok is False],
        "others": [_finding(each, w) for each in found if many and each.ok is not False],
    }


def _finding(finding: Finding, w: Words) -> dict[str, str]:
    text = w.message(finding.message or finding.text)
    if finding.ok is None:
        return {"style": "", "mark": "", "text": text}
    return {"style": "good" if finding.ok else "bad", "mark": "✓" if finding.ok else "✗", "text": text}


def _differences(record: Record, verdict: Verdict | None, w: Words) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Endpoints that differ from the expected states: both lists of states; and the references to mark."""
    views = []
    marked: dict[str, str] = {}
    for index, endpoint in enumerate(record.endpoints):
        held = marks(endpoint, index, verdict)
        first = next((place for place, mark in enumerate(held) if mark.parts), None)
        if first is None:
            continue
        after = [mark.place for mark in held[first:] if mark.place is not None]
        if after:
            marked[f"t{index}-{after[0] - 1}" if after[0] else f"t{index}-start"] = ""
        else:
            marked[f"t{index}-end"] = held[first].state
        views.append(
            {
                "name": w("states.heading", node=endpoint.node, role=w(f"role.{endpoint.role}"), local=endpoint.local),
                "expected": verdict is not None and index in verdict.expected,
                "states": [
                    {"state": mark.state, "expected": mark.ok or mark.place is None, "observed": mark.place is not None}
                    for mark in held
                ],
            }
        )
    return views, marked
