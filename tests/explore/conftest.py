"""What the tests of the exploration share: a project of its own, in which tests are explored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import projects
import pytest
from explore.watched import Watched
from handshake_lab.explore.keep import FINDING, KeptFinding
from handshake_lab.explore.search import explore
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.workers import ThisProcess
from handshake_lab.pytest_plugin.dispatch import exploring

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.search import Exploration
    from handshake_lab.explore.target import Target
    from handshake_lab.plan.schedule import Fate


class Project(projects.Project):
    """A project whose tests are explored, and what was found in them."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(pytester, monkeypatch)
        self._monkeypatch = monkeypatch

    def search(self, settings: str, **more: list[str]) -> dict[str, list[Exploration]]:
        """Only search, in each test file once for each of its further settings; nothing is kept or written.

        No schedule of a test is run again in its second search.
        """
        found: dict[str, list[Exploration]] = {}

        def searched(target: Target, *_: object) -> tuple[Exploration, str]:
            name = target.name.partition(".py")[0]
            known: dict[tuple[Fate, ...], Outcome] = {}
            with ThisProcess(target) as workers:
                for words in more[name]:
                    watched = Watched(workers, known)
                    found.setdefault(name, []).append(explore(watched, Settings.parse(f"{settings} {words}")))
                    known |= watched.outcomes
            return found[name][-1], ""

        with self._monkeypatch.context() as changed:
            changed.setattr(exploring, "search_and_keep", searched)
            self.run("--handshake-explore", settings)
        return found

    def explore(self, settings: str, *words: str) -> tuple[pytest.RunResult, list[Finding]]:
        """Explore the project's tests; returns the findings in the order of their names."""
        result = self.run("--handshake-explore", settings, "-rP", *words)
        files = sorted(self.path.glob(f"handshake-findings/*/*/{FINDING}"))
        return result, [msgspec.json.decode(file.read_bytes(), type=KeptFinding).finding for file in files]

    def found_tests(self) -> list[Path]:
        """The tests that were written for findings."""
        return sorted(file for file in self.path.glob("test_*.py") if file.read_text().startswith("# Found by:"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, with nothing of this session's own settings."""
    return Project(pytester, monkeypatch)
