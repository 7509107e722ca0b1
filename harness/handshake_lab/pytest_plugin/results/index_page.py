"""The index page of a session's records: results, claims, edges."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest

from handshake_lab.pytest_plugin.options import command_line
from handshake_lab.pytest_plugin.options.report_properties import AGAIN, CLAIM, EDGES, RUN
from handshake_lab.pytest_plugin.results.attempts import Attempts
from handshake_lab.recording.run_files import PAGE
from handshake_lab.report.export.pytest_document import TestOutcome, worst
from handshake_lab.verdict.expected_states import Claim

if TYPE_CHECKING:
    from handshake_lab.report.html.index import RunRow


class KeptTest(msgspec.Struct, frozen=True):
    """A kept record, as a test's report describes it: what its row of the index shows."""

    directory: str  #: in the artifacts
    summary: str
    connections: int
    lost: int
    length: int  #: nanoseconds


class IndexPage:
    """Collects the results of a session; under pytest-xdist, in its controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._attempts = Attempts()
        self._outcomes: dict[str, TestOutcome] = {}
        self._kept: dict[str, KeptTest | None] = {}
        self._edges: dict[str, int] = {}
        self._claims: dict[str, Claim] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's outcome and, from the report that has them, its properties."""
        if not self._attempts.counts(report):
            return
        properties: dict[str, Any] = dict(report.user_properties)
        here: TestOutcome = "skipped" if report.skipped else "failed" if report.failed else "passed"
        self._outcomes[report.nodeid] = worst([self._outcomes.get(report.nodeid, "passed"), here])
        if AGAIN not in properties or report.nodeid in self._kept:
            return
        kept = properties.get(RUN)
        self._kept[report.nodeid] = None if kept is None else msgspec.convert(kept, KeptTest)
        for edge, _ in properties.get(EDGES, []):
            self._edges[edge] = self._edges.get(edge, 0) + 1
        if CLAIM in properties:
            claim = msgspec.json.decode(properties[CLAIM], type=Claim)
            self._claims[claim.id] = claim

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the index beside the directories of the records."""
        if hasattr(self._config, "workerinput") or not self._kept:
            return
        from handshake_lab.report.html.index import index
        from handshake_lab.report.text.translations import words as translated
        from handshake_lab.tcp.diagram.lookup import EDGES as DIAGRAM
        from handshake_lab.verdict.expected_states import Covered

        option = self._config.option
        lang = command_line.language(self._config)
        words = translated(lang)
        artifacts = Path(option.handshake_artifacts)
        artifacts.mkdir(parents=True, exist_ok=True)
        html = index(
            [self._line(test, kept) for test, kept in self._kept.items()],
            title=artifacts.resolve().name,
            facts=[(words("page.kernel"), option.handshake_kernel), (words("page.seed"), str(option.handshake_seed))],
            claims=sorted(self._claims.values(), key=_by_number),
            coverage=[
                Covered(edge.id, edge.old, edge.new, self._edges.get(edge.id, 0), edge.section)
                for edge in DIAGRAM
                if edge.in_linux
            ],
            lang=lang,
        )
        (artifacts / PAGE).write_text(html, "utf-8")

    def _line(self, test: str, kept: KeptTest | None) -> RunRow:
        from handshake_lab.report.html.index import RunRow

        outcome = self._outcomes[test]
        if kept is None:
            return RunRow(test, outcome)
        href = f"{quote(kept.directory)}/{PAGE}"
        return RunRow(test, outcome, href, kept.summary, kept.connections, kept.lost, kept.length)


def _by_number(claim: Claim) -> list[tuple[int, str]]:
    """The order of claims: C2 before C10."""
    return [(int(number or 0), word) for word, number in re.findall(r"(\D+)(\d*)", claim.id)]
