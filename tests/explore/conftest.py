"""What the tests of the exploration share: a project of its own, in which tests are explored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import projects
import pytest
from handshake_lab.explore.keep import FINDING, KeptFinding

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.explore.finding import Finding


class Project(projects.Project):
    """A project whose tests are explored, and what was found in them."""

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
