"""Scenarios on several kernels, side by side: what differs between releases of Linux.

``handshake scenarios run --all --kernels 6.1,newest,vm:stock``
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.json_document import KernelDocument
from handshake_lab.report.export.scenario_documents import MatrixCell, MatrixColumn, ScenarioMatrixDocument
from handshake_lab.tcp.timers import LATENESS_DIVISOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.checkout.scenarios.catalogue import Scenario
    from handshake_lab.recording.observations import KernelInfo
    from handshake_lab.report.export.pytest_document import PytestSession

_EXAMPLE = "--kernels 6.1,newest,vm:stock"

#: The maximum difference of two times that count as equal: the tolerance of kernel timers (a timer of t fires within
#: t · 1.125, depending on the phase of the timer wheel: kernel/time/timer.c), plus these seconds, on lab kernels (True)
#: and in real time (False).
_SHARE = 1 / LATENESS_DIVISOR
_SECONDS = {True: 0.02, False: 0.6}

_LEGEND = (
    "✓ as documented for that kernel, ✗ not as documented, - not run (`--slow` also runs scenarios that take more than "
    "10 s of real time). The cells of the first kernel contain the number of segments, and the seconds from the first "
    "event to the last. The cells of other kernels contain them only if they differ: in segments, or by more than the "
    "tolerance of kernel timers (a timer of t fires within t · 1.125). In real time, programs also need time to "
    "compute. With random loss, each kernel loses different segments."
)

_MARKS = {"passed": "✓", "failed": "✗", "skipped": "-"}


@dataclass(frozen=True, slots=True)
class Column:
    """The results on one kernel.

    Attributes:
        kernel: The kernel.
        cells: The results by the names of the scenarios.
    """

    kernel: KernelInfo
    cells: dict[str, MatrixCell]

    @property
    def title(self) -> str:
        """The heading of the column."""
        return f"{self.kernel.release} ({self.kernel.kind})"


def kernels(text: str) -> list[str]:
    """The kernels that ``--kernels`` lists, as ``--kernel`` spells them.

    Raises:
        UsageError: A name is missing, or a kernel is listed twice.
    """
    named = [part.strip() for part in text.split(",")]
    if not all(named):
        raise UsageError("--kernels", text, "lacks a kernel before or after a comma", _EXAMPLE)
    wanted = ["lab" if name == "newest" else f"lab:{name}" if re.match(r"\d", name) else name for name in named]
    if len(set(wanted)) < len(wanted):
        raise UsageError("--kernels", text, "lists a kernel twice", _EXAMPLE)
    return wanted


def column(kernel: KernelInfo, session: PytestSession, wanted: Sequence[Scenario]) -> Column:
    """The results of scenarios on one kernel.

    Args:
        kernel: The kernel.
        session: The document that pytest wrote.
        wanted: The scenarios.
    """
    from handshake_lab.checkout.scenarios.outcomes import by_scenario, tests_of

    cells = {}
    for scenario, outcome in zip(wanted, by_scenario(session, wanted), strict=True):
        tests = tests_of(session, scenario)
        cells[outcome.name] = MatrixCell(
            outcome=outcome.outcome,
            segments=sum(test.segments for test in tests),
            seconds=sum(test.span_seconds for test in tests),
        )
    return Column(kernel, cells)


def alike(one: Column, other: Column, name: str) -> bool:
    """Whether a scenario has the same result on two kernels."""
    first, second = one.cells[name], other.cells[name]
    tolerance = _SECONDS[one.kernel.kind == other.kernel.kind == "lab"]
    difference = abs(first.seconds - second.seconds)
    return first.segments == second.segments and difference <= _SHARE * min(first.seconds, second.seconds) + tolerance


def cell_text(columns: Sequence[Column], name: str, at: int) -> str:
    """The text of a cell: its numbers in the first column, and in others where they differ from the first."""
    first, this = columns[0], columns[at]
    cell = this.cells[name]
    mark = _MARKS[cell.outcome]
    if cell.outcome == "skipped" or (at and first.cells[name].outcome != "skipped" and alike(first, this, name)):
        return mark
    return f"{mark} {cell.segments} segments, {round(cell.seconds, 3):g} s"


def markdown(columns: Sequence[Column], wanted: Sequence[Scenario], command: str) -> str:
    """The tables as a document: first the differences, with the requirement of each scenario, then all scenarios.

    Args:
        columns: One per kernel.
        wanted: The scenarios.
        command: The command that generates the document.
    """
    differing = [
        each
        for each in wanted
        if any(
            columns[0].cells[each.name].outcome != "skipped" != column.cells[each.name].outcome
            and not alike(columns[0], column, each.name)
            for column in columns[1:]
        )
    ]
    head = " | ".join(column.title for column in columns)
    rule = "---|" * len(columns)
    lines = ["# The scenarios on several kernels", "", f"Generated by `{command}`; do not edit.", ""]
    for column in columns:
        outcomes = [cell.outcome for cell in column.cells.values()]
        lines.append(
            f"- Linux {column.title}, HZ={column.kernel.hz}: {outcomes.count('passed')} as documented, "
            f"{outcomes.count('failed')} not as documented, {outcomes.count('skipped')} not run"
        )
    lines += ["", _LEGEND, "", "## Differences", ""]
    lines.append(f"{len(differing)} of {len(wanted)} scenarios differ between these kernels.")
    if differing:
        lines += ["", f"| | scenario | {head} | requirement |", f"|---|---|{rule}---|"]
    lines += [_row(columns, each, (_cell_of(each.what),)) for each in differing]
    lines += ["", "## All", "", f"| | scenario | {head} |", f"|---|---|{rule}"]
    lines += [_row(columns, each) for each in wanted]
    return "\n".join(lines) + "\n"


def _row(columns: Sequence[Column], scenario: Scenario, more: Sequence[str] = ()) -> str:
    texts = [cell_text(columns, scenario.name, at) for at in range(len(columns))]
    return f"| {scenario.number or ''} | {scenario.name} | {' | '.join([*texts, *more])} |"


def _cell_of(text: str) -> str:
    """The first sentence of a text, escaped for a cell of a table."""
    return re.split(r"(?<=[.;]) ", text, maxsplit=1)[0].rstrip(";").replace("|", "\\|")


def document(columns: Sequence[Column]) -> ScenarioMatrixDocument:
    """The document of ``handshake scenarios run --kernels … --json``."""
    return ScenarioMatrixDocument(
        FORMAT_VERSION, [MatrixColumn(KernelDocument.of(column.kernel), column.cells) for column in columns]
    )
