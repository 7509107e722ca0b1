"""The record of a test: its edges and times for the summary, its files, and its ladder if the test failed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from handshake_lab.errors import RecordUnreadable
from handshake_lab.pytest_plugin.options.command_line import language
from handshake_lab.pytest_plugin.options.report_properties import (
    AGAIN,
    COMPARED,
    EDGES,
    RUN,
    SEGMENTS,
    SPAN,
    TCP_SECONDS,
    UNEXPLAINED,
)
from handshake_lab.recording.events_file import Writer, read
from handshake_lab.recording.observations import Failure, RunEnd
from handshake_lab.recording.run_files import EVENTS, PAGE

if TYPE_CHECKING:
    import pytest

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation, Witness
    from handshake_lab.verdict.judge import Verdict

DEFAULT_ARTIFACTS = "handshake-artifacts"

#: Characters of a failure's text that its record keeps.
_LONGEST = 4000

#: Lines of a program's output that are printed with a failed test.
_LINES = 100


def attach(item: pytest.Item, reports: list[pytest.TestReport], results: Path, *, replay: str) -> None:
    """Add properties and sections to a test's reports from its record, and keep the record if it is requested.

    Args:
        item: The test.
        reports: Its reports; the last gets the properties, a failed one the ladder.
        results: The directory with its record.
        replay: The command that runs the test again with the same result.
    """
    last = reports[-1]  # the JUnit file contains the properties of the last one
    last.user_properties.append((AGAIN, replay))
    failed = next((report for report in reports if report.failed), None)
    printed: list[tuple[str, str]] = []
    try:
        log = read(results) if (results / EVENTS).exists() else None
    except RecordUnreadable as error:
        log = None
        if failed is not None:
            failed.sections.append(("record", str(error)))
    if log is None:
        if failed is not None:
            failed.sections.append(("again", replay))
        return
    from handshake_lab.expect.unexplained import unexplained
    from handshake_lab.reconcile.pipeline import reconcile

    # Branches were recorded with the command that runs all of them.
    observed = (replace(log.observations[0], replay=replay), *log.observations[1:])
    record = reconcile(observed)
    verdict = _verdict(record, failed)
    seconds = max(observation.t for observation in observed) / 1e9
    last.user_properties.append((EDGES, edges(record, observed)))
    last.user_properties.append((TCP_SECONDS, seconds))
    last.user_properties.append((SEGMENTS, len(record.segments)))
    last.user_properties.append((SPAN, span(record)))
    last.user_properties.append((UNEXPLAINED, unexplained(record)))
    artifacts: str | None = item.config.option.handshake_artifacts
    if failed is not None:
        from handshake_lab.report.terminal.ladder import text

        failed.sections += [(f"Printed by {file.name}", shown) for file in _printed(results) if (shown := _shown(file))]
        lang = language(item.config)
        printed = [("", failed.longreprtext), *failed.sections]
        failed.sections.append(("ladder", text(record, verdict=verdict, lang=lang)))
    if failed is not None or artifacts is not None:
        observations = observed if failed is None else _with_failure(observed, failed)
        kept = keep(item, results, observations, Path(artifacts or DEFAULT_ARTIFACTS))
        run = _draw(item, kept, record, observations, verdict, printed)
        last.user_properties.append((RUN, run))
        if failed is not None:
            failed.sections.append(("record", f"{kept}: handshake show {kept}"))


def edges(record: Record, observations: tuple[Observation, ...]) -> list[tuple[str, list[str]]]:
    """The edges that a run took, self-transitions included, each with its witnesses."""
    from handshake_lab.verdict.self_transitions import self_transitions

    seen: dict[str, set[Witness]] = {}
    for endpoint in record.endpoints:
        for step in endpoint.transitions:
            if step.edge is not None:
                seen.setdefault(step.edge, set()).update(step.witnesses)
    for self_transition in self_transitions(record, observations):
        seen.setdefault(self_transition.edge, set()).update(self_transition.witnesses)
    return [(edge, sorted(witness.value for witness in witnesses)) for edge, witnesses in sorted(seen.items())]


def span(record: Record) -> float:
    """Seconds from a run's first transition or segment to its last."""
    times = [step.time for endpoint in record.endpoints for step in endpoint.transitions]
    times += [moment for segment in record.segments for moment in (segment.sent, segment.received) if moment]
    return (max(times) - min(times)) / 1e9 if times else 0.0


def keep(item: pytest.Item, results: Path, observations: tuple[Observation, ...], artifacts: Path) -> Path:
    """Write a test's record to the artifacts, replacing that of an earlier run."""
    directory = artifacts / re.sub(r"[^\w.\[\]=-]+", "-", item.nodeid)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with Writer(directory / EVENTS) as file:
        file.write_all(observations)
    for printed in _printed(results):
        shutil.copy2(printed, directory / printed.name)
    return directory


def _with_failure(observations: tuple[Observation, ...], failed: pytest.TestReport) -> tuple[Observation, ...]:
    """Insert the failure of a test before the end of its observations."""
    last = observations[-1]
    failure = Failure(last.t, "", _failure_text(failed))
    return (*observations[:-1], failure, last) if isinstance(last, RunEnd) else (*observations, failure)


def _failure_text(failed: pytest.TestReport) -> str:
    """The reason of a failure in a few lines, and its place."""
    text = failed.longreprtext
    found = [line[1:] for line in text.splitlines() if re.match(r"E( |$)", line)]
    if not found:
        return text[:_LONGEST]
    crash = getattr(failed.longrepr, "reprcrash", None)
    where = [f"{Path(crash.path).name}:{crash.lineno}:"] if crash else []
    where += [line[1:].strip() for line in text.splitlines() if line.startswith(">")][-1:]
    return f"{dedent(chr(10).join(found))}\n\n{' '.join(where)}"[:_LONGEST]


def _printed(results: Path) -> list[Path]:
    """The files with the output of the programs that a test started."""
    return sorted(file for file in results.iterdir() if file.suffix in (".out", ".err"))


def _shown(file: Path) -> str:
    """The last lines of a program's output, escaped for terminals and for JUnit's XML."""
    from handshake_lab.report.text.escaping import visible

    lines = file.read_text("utf-8", "replace").rstrip().splitlines()
    left_out = [f"({len(lines) - _LINES:,} lines before)"] if len(lines) > _LINES else []
    return "\n".join([*left_out, *map(visible, lines[-_LINES:])])


def _verdict(record: Record, failed: pytest.TestReport | None) -> Verdict:
    """The verdict, with the states that the test expected of an endpoint, if it compared some."""
    from handshake_lab.verdict.expected_states import expected_of
    from handshake_lab.verdict.judge import judge

    verdict = judge(record)
    compared = getattr(failed, COMPARED, None)
    if not compared:
        return verdict
    recorded, expected = compared
    return replace(verdict, expected=expected_of(record, recorded, expected))


def _draw(
    item: pytest.Item,
    directory: Path,
    record: Record,
    observations: tuple[Observation, ...],
    verdict: Verdict,
    printed: list[tuple[str, str]],
) -> dict[str, Any]:
    """Write the record as a page, with what a failed test printed, and as a capture; returns its row of the index."""
    from handshake_lab.report.html.index import run
    from handshake_lab.report.html.run_facts import headline
    from handshake_lab.report.kept_run import write_capture, write_page
    from handshake_lab.report.text.translations import words

    option = item.config.option
    back = f"../{PAGE}" if option.handshake_artifacts else ""  # without it, there is no index
    lang = language(item.config)
    title = item.nodeid
    write_page(directory, record, observations, title=title, verdict=verdict, back=back, lang=lang, printed=printed)
    write_capture(directory, record, observations)
    summary = headline(observations, verdict, words(lang))
    line = run(item.nodeid, "recorded", record, summary=summary)
    return {
        "directory": directory.name,
        "summary": line.summary,
        "connections": line.connections,
        "lost": line.lost,
        "length": line.length,
    }
