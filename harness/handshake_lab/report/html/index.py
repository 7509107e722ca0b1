"""The index of many runs: one row for each, and the edges that they cover together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from handshake_lab.report.html.rendering import render
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.text.times import with_time_wait
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.report.html.rendering import Served
    from handshake_lab.verdict.expected_states import Claim, Covered

Outcome = Literal["passed", "failed", "skipped", "recorded"]

_MARKS: dict[Outcome, tuple[str, str]] = {
    "passed": ("✓", "good"),
    "failed": ("✗", "bad"),
    "skipped": ("-", "quiet"),
    "recorded": ("·", "quiet"),
}


class RunRow(msgspec.Struct, frozen=True):
    """A row of the index. ``href`` is the address of its page relative to the index, "" if it has none."""

    name: str
    outcome: Outcome
    href: str = ""
    summary: str = ""
    connections: int = 0
    lost: int = 0
    length: int = 0  #: nanoseconds on the run's clock, until all connections had settled
    time_wait: int = 0  #: nanoseconds for which some were still in TIME-WAIT


def run(name: str, outcome: Outcome, record: Record, *, href: str = "", summary: str = "") -> RunRow:
    """Make the row of a record."""
    found = connections(record)
    return RunRow(
        name,
        outcome,
        href,
        summary,
        len(found),
        sum(segment.lost for segment in record.segments),
        max((each.settled for each in found), default=0),
        max((each.ended for each in found), default=0) - max((each.settled for each in found), default=0),
    )


def index(
    runs: Sequence[RunRow],
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    claims: Sequence[Claim] = (),
    coverage: Sequence[Covered] = (),
    lang: str = "en",
    served: Served | None = None,
) -> str:
    """Write the index of a session as an HTML page. Failed runs come first.

    Args:
        runs: Its rows.
        title: What was run.
        facts: Names and values that apply to the whole session.
        claims: The measured claims of the documents.
        coverage: Edges of the state diagram, and how often they were taken.
        lang: ``en`` or ``ko``.
        served: How a server shows it; None: it is self-contained.
    """
    w = words(lang)
    ordered = sorted(runs, key=lambda each: (each.outcome != "failed", each.name))
    counted = Counter(each.outcome for each in runs)
    outcomes = [outcome for outcome in _MARKS if counted[outcome]]
    return render(
        "index.html.j2",
        w,
        served=served,
        title=title,
        facts=facts,
        counts=[
            {
                "mark": _MARKS[outcome][0],
                "style": _MARKS[outcome][1],
                "text": w(f"tally.{outcome}", count=counted[outcome]),
            }
            for outcome in outcomes
        ],
        outcomes=[{"key": outcome, "text": w(f"outcome.{outcome}")} for outcome in outcomes],
        runs=[_view(each, w(f"outcome.{each.outcome}")) for each in ordered],
        claims=claims,
        coverage=coverage,
    )


def _view(each: RunRow, message: str) -> dict[str, Any]:
    mark, style = _MARKS[each.outcome]
    return msgspec.structs.asdict(each) | {
        "mark": mark,
        "style": style,
        "outcome_text": message,
        "length": with_time_wait(each.length, each.time_wait),
    }
