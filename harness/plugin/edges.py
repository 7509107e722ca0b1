"""Edge coverage: which edges of the state diagram the tests took, like line coverage for code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness.plugin.evidence import EDGES, TCP_SECONDS

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


class EdgeCoverage:
    """Gathers what the reports say; under pytest-xdist, in the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._taken: dict[str, dict[str, set[str]]] = {}  # edge -> test -> witnesses
        self._tcp_seconds = 0.0
        self._began = time.perf_counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a test's properties."""
        for name, value in report.user_properties:
            if name == TCP_SECONDS and isinstance(value, float):
                self._tcp_seconds += value
            elif name == EDGES and isinstance(value, list):
                for edge, witnesses in value:
                    self._taken.setdefault(edge, {}).setdefault(report.nodeid, set()).update(witnesses)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session where too few edges were taken."""
        limit = self._config.option.edge_coverage_fail_under
        if limit is None or hasattr(self._config, "workerinput"):
            return
        taken, total = self._counts()
        if taken * 100 < limit * total and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the virtual time that passed, and the edges where they were asked for."""
        wall = time.perf_counter() - self._began
        if self._tcp_seconds:
            terminalreporter.write_line(
                f"{self._tcp_seconds:,.0f} s of TCP time passed in {wall:.1f} s: {self._tcp_seconds / wall:,.0f} times as fast"
            )
        if self._config.option.edge_coverage or self._config.option.edge_coverage_fail_under is not None:
            self._table(terminalreporter)

    def _counts(self) -> tuple[int, int]:
        from harness.tcp.diagram import EDGES as DIAGRAM

        real = {edge.id for edge in DIAGRAM if edge.in_linux}
        return len(real & self._taken.keys()), len(real)

    def _table(self, out: TerminalReporter) -> None:
        from harness.tcp.diagram import EDGES as DIAGRAM

        taken, total = self._counts()
        out.section(f"edge coverage: {taken} of {total} edges that Linux has")
        for edge in DIAGRAM:
            tests = self._taken.get(edge.id, {})
            witnesses = sorted(set().union(*tests.values())) if tests else []
            told = (
                f"{len(tests)} tests, seen by {', '.join(witnesses) or 'nobody (inferred)'}" if tests else "not taken"
            )
            out.write_line(
                f"  {edge.id:>4}  {edge.text:<34} {told if edge.in_linux else 'not in Linux: ' + edge.linux}"
            )
