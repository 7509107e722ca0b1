"""The summary of a session: TCP time and wall time, edges that were taken, the result of every test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handshake_lab.pytest_plugin.options.report_properties import (
    AGAIN,
    EDGES,
    MUTATION_RESULT,
    SEGMENTS,
    SPAN,
    TCP_SECONDS,
)
from handshake_lab.pytest_plugin.results.attempts import Attempts
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.json_document import to_json
from handshake_lab.report.export.pytest_document import EdgeTaken, PytestResult, PytestSession, TestOutcome, worst
from handshake_lab.verdict.edge_coverage import Coverage

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from handshake_lab.tcp.diagram.edge import Edge

#: At most this many commands for failed seeds are printed.
_SHOWN = 10


class Summary:
    """Collects the results of a session; under pytest-xdist, in its controller.

    Args:
        config: The session's.
        began: When the session began, by `time.perf_counter`.
    """

    def __init__(self, config: pytest.Config, began: float) -> None:
        self._config = config
        self._attempts = Attempts()
        self._results: dict[str, PytestResult] = {}
        self._outcomes: dict[str, dict[str | None, TestOutcome]] = {}
        self._seconds: dict[str, float] = {}
        self._coverage = Coverage()
        self._began = began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's outcome and, from its last report, its properties."""
        if not self._attempts.counts(report):
            return
        properties: dict[str, Any] = dict(report.user_properties)
        # The report of the call follows those of its subtests, and holds unless one of them failed.
        outcomes = self._outcomes.setdefault(report.nodeid, {})
        if outcomes.get(report.when) != "failed":
            outcomes[report.when] = _outcome(report)
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if AGAIN not in properties:
            return
        result = self._results[report.nodeid] = PytestResult(
            name=report.nodeid.rpartition("::")[2].removeprefix("test_"),
            test=report.nodeid,
            outcome=worst(list(outcomes.values())),
            mutation=properties.get(MUTATION_RESULT),
            tcp_seconds=properties.get(TCP_SECONDS, 0.0),
            wall_seconds=self._seconds[report.nodeid],
            segments=properties.get(SEGMENTS, 0),
            span_seconds=properties.get(SPAN, 0.0),
            replay=properties[AGAIN],
        )
        edges = properties.get(EDGES, [])
        result.edges += [edge for edge, _ in edges]
        if result.mutation is None:
            self._coverage.add(report.nodeid, edges)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files, and fail the session if too few edges were taken."""
        if hasattr(self._config, "workerinput") or self._config.option.collectonly:
            return
        option = self._config.option
        if option.handshake_json:
            Path(option.handshake_json).write_text(to_json(self.session()), "utf-8")
        if option.handshake_edge_coverage_svg:
            from handshake_lab.report.svg.diagram_svg import covered
            from handshake_lab.report.text.translations import words

            picture = covered(self._coverage.steps_taken(), words("en"))
            Path(option.handshake_edge_coverage_svg).write_text(picture, "utf-8")
        if self._too_few() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _too_few(self) -> bool:
        limit: float | None = self._config.option.handshake_edge_coverage_fail_under
        return limit is not None and self._coverage.percent < limit

    @property
    def _wall(self) -> float:
        return time.perf_counter() - self._began

    def session(self) -> PytestSession:
        """The document that ``--handshake-json`` writes."""
        tests = list(self._results.values())
        outcomes = [result.outcome for result in tests]
        return PytestSession(
            version=FORMAT_VERSION,
            passed=outcomes.count("passed"),
            failed=outcomes.count("failed"),
            skipped=outcomes.count("skipped"),
            edges_covered=len(self._coverage.covered),
            edges_total=self._coverage.total,
            tcp_seconds=sum(result.tcp_seconds for result in tests),
            wall_seconds=self._wall,
            tests=tests,
            edges=[_edge_taken(*each) for each in self._coverage.taken()],
        )

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print edge coverage and failed seeds if they were requested, and the TCP time."""
        option = self._config.option
        limit = option.handshake_edge_coverage_fail_under
        if option.handshake_edge_coverage or limit is not None:
            covered, total = len(self._coverage.covered), self._coverage.total
            terminalreporter.section(f"edge coverage: {covered} of the {total} edges that Linux has")
            for line in self._coverage.lines():
                terminalreporter.write_line(line)
        if self._too_few():
            text = f"FAIL: edge coverage of {self._coverage.percent:.1f} % is less than {limit:g} %"
            terminalreporter.write_line(text, red=True)
        if option.handshake_seeds:
            self._print_seeds(terminalreporter)
        tcp = sum(result.tcp_seconds for result in self._results.values())
        if tcp:
            wall = self._wall
            speed = f"{tcp / wall:,.0f}" if tcp >= 10 * wall else f"{tcp / wall:.2g}"
            terminalreporter.write_line(
                f"TCP time {_span(tcp)}, wall time {_span(wall)}: {speed} times as fast as the clock"
            )

    def _print_seeds(self, out: TerminalReporter) -> None:
        seeded = [
            result for result in self._results.values() if "[" in result.name and "--handshake-seeds" in result.replay
        ]
        failed = [result for result in seeded if result.outcome == "failed"]
        out.section(f"random loss: {len(seeded) - len(failed)} of {len(seeded)} runs hold")
        for result in failed[:_SHOWN]:
            out.write_line(f"again: {result.replay}")
        if len(failed) > _SHOWN:
            out.write_line(f"and {len(failed) - _SHOWN} more")


def _edge_taken(edge: Edge, tests: list[str], witnesses: list[str]) -> EdgeTaken:
    return EdgeTaken(
        edge=edge.id,
        from_=edge.old,
        to=edge.new,
        event=edge.event,
        in_linux=edge.in_linux,
        absent=edge.absent,
        taken=bool(tests),
        tests=tests,
        witnesses=witnesses,
    )


def _outcome(report: pytest.TestReport) -> TestOutcome:
    if hasattr(report, "wasxfail"):
        return "passed" if report.passed or report.skipped else "failed"
    return "skipped" if report.skipped else "failed" if report.failed else "passed"


def _span(seconds: float) -> str:
    """A duration for people: ``1 h 12 min``, ``45.2 s``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
