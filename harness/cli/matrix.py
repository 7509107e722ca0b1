"""Scenarios on several kernels, side by side: what differs between releases of Linux.

``handshake scenarios run --all --kernels 6.1,newest,vm:stock``
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.plugin.catalogue import Scenario
    from harness.plugin.results import Session
    from harness.timeline.observations import KernelInfo

_EXAMPLE = "--kernels 6.1,newest,vm:stock"

#: How far a time may be off and still count as the same: by the rule of kernel timers (one of t fires within
#: t · 1.125, depending on the phase of the timer wheel: kernel/time/timer.c), and by so many seconds, on lab
#: kernels and where time is real.
_SHARE = 0.125
_SECONDS = {True: 0.02, False: 0.6}

_LEGEND = (
    "✓ as documented for that kernel, ✗ not, - not run there (`--slow` runs what takes more than 10 s of real time). "
    "The first kernel's numbers are given: segments, and seconds from the first event to the last. Another's are "
    "given where they differ: in segments, or by more than kernel timers may (one of t fires within t · 1.125)."
)

_MARKS = {"passed": "✓", "failed": "✗", "skipped": "-"}


class Cell(msgspec.Struct, frozen=True):
    """What a scenario came to on one kernel; ``seconds`` and ``segments`` are sums over its tests."""

    outcome: Literal["passed", "failed", "skipped"]
    segments: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Column:
    """One kernel.

    Attributes:
        kernel: Which.
        cells: By the scenario's name.
    """

    kernel: KernelInfo
    cells: dict[str, Cell]

    @property
    def title(self) -> str:
        """The kernel, as a head of a column."""
        return f"{self.kernel.release} ({self.kernel.kind})"


def kernels(text: str) -> list[str]:
    """What ``--kernels`` says, as ``--kernel`` would.

    Raises:
        UsageError: There is nothing in it, or one is named twice.
    """
    named = [part.strip() for part in text.split(",")]
    if not all(named):
        raise UsageError("--kernels", text, "names no kernel between two commas", _EXAMPLE)
    wanted = ["lab" if name == "newest" else f"lab:{name}" if re.match(r"\d", name) else name for name in named]
    if len(set(wanted)) < len(wanted):
        raise UsageError("--kernels", text, "names a kernel twice", _EXAMPLE)
    return wanted


def column(kernel: KernelInfo, session: Session, wanted: Sequence[Scenario], runs: Path) -> Column:
    """Gather what the scenarios came to on one kernel.

    Args:
        kernel: Which.
        session: What pytest wrote down.
        wanted: The scenarios.
        runs: The directory with their records.
    """
    from harness.plugin.results import by_scenario, tests_of

    measured = {test.test: measure(runs / directory_of(test.test)) for test in session.tests}
    cells = {}
    for scenario, outcome in zip(wanted, by_scenario(session, wanted), strict=True):
        tests = [test.test for test in tests_of(session, scenario)]
        cells[outcome.name] = Cell(
            outcome=outcome.outcome,
            segments=sum(measured[test][0] for test in tests),
            seconds=sum(measured[test][1] for test in tests),
        )
    return Column(kernel, cells)


def directory_of(test: str) -> str:
    """Where `harness.plugin.evidence.keep` keeps a test's record."""
    return re.sub(r"[^\w.\[\]=-]+", "-", test)


def measure(run: Path) -> tuple[int, float]:
    """How many segments a record has, and the seconds from its first event to its last; (0, 0) without one."""
    from harness.timeline.reconcile import reconcile
    from harness.timeline.store import EVENTS, read

    if not (run / EVENTS).exists():
        return 0, 0.0
    record = reconcile(read(run).observations)
    times = [step.time for endpoint in record.endpoints for step in endpoint.transitions]
    times += [moment for passage in record.passages for moment in (passage.sent, passage.received) if moment]
    return len(record.passages), (max(times) - min(times)) / 1e9 if times else 0.0


def alike(one: Column, other: Column, name: str) -> bool:
    """Whether a scenario went the same way on two kernels."""
    first, second = one.cells[name], other.cells[name]
    more = _SECONDS[one.kernel.kind == other.kernel.kind == "lab"]
    off = abs(first.seconds - second.seconds)
    return first.segments == second.segments and off <= _SHARE * min(first.seconds, second.seconds) + more


def told(columns: Sequence[Column], name: str, at: int) -> str:
    """A cell's text: numbers in the first column, and where they differ from it."""
    first, this = columns[0], columns[at]
    cell = this.cells[name]
    mark = _MARKS[cell.outcome]
    if cell.outcome == "skipped" or (at and first.cells[name].outcome != "skipped" and alike(first, this, name)):
        return mark
    return f"{mark} {cell.segments} segments, {cell.seconds:.4g} s"


def markdown(columns: Sequence[Column], wanted: Sequence[Scenario], command: str) -> str:
    """The table as a document.

    Args:
        columns: One for each kernel.
        wanted: The scenarios.
        command: What makes this document.
    """
    differing = [
        each.name
        for each in wanted
        if any(
            columns[0].cells[each.name].outcome != "skipped" != column.cells[each.name].outcome
            and not alike(columns[0], column, each.name)
            for column in columns[1:]
        )
    ]
    lines = [
        "# The scenarios on several kernels",
        "",
        f"Made by `{command}`; not written by hand.",
        "",
        _LEGEND,
        "",
        "| | scenario | " + " | ".join(column.title for column in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for each in wanted:
        texts = [told(columns, each.name, at) for at in range(len(columns))]
        name = f"**{each.name}**" if each.name in differing else each.name
        lines.append(f"| {each.number or ''} | {name} | " + " | ".join(texts) + " |")
    lines += ["", f"{len(differing)} of {len(wanted)} scenarios differ between these kernels."]
    for column in columns:
        outcomes = [cell.outcome for cell in column.cells.values()]
        lines.append(
            f"Linux {column.title}, HZ={column.kernel.hz}: {outcomes.count('passed')} as documented, "
            f"{outcomes.count('failed')} not, {outcomes.count('skipped')} not run."
        )
    return "\n".join(lines) + "\n"


def document(columns: Sequence[Column]) -> dict[str, object]:
    """The same for a program."""
    return {"kernels": [{"kernel": column.kernel, "scenarios": column.cells} for column in columns]}
