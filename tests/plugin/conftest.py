"""What the tests of the plugin share: a project of its own, and a pytest that runs in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import projects
import pytest
import schema_checks
from projects import ALONE, OTHERS

if TYPE_CHECKING:
    import os


class Project(projects.Project):
    """A project that uses the plugin, like a project of a user."""

    def run_apart(self, *words: str | os.PathLike[str]) -> pytest.RunResult:
        """Run pytest here, in a process of its own."""
        return self._pytester.runpytest_subprocess(*ALONE, *words)

    def run_with(self, plugin: str, *words: str) -> pytest.RunResult:
        """Run pytest here, in a process of its own, with one more of the installed plugins."""
        others = [word for name in OTHERS if name != plugin for word in ("-p", f"no:{name}")]
        return self._pytester.runpytest_subprocess(*others, *words)

    def run_with_all(self, *words: str) -> pytest.RunResult:
        """Run pytest here, in a process of its own, with all installed plugins."""
        return self._pytester.runpytest_subprocess(*words)

    def session(self, *words: str) -> tuple[pytest.RunResult, dict[str, Any]]:
        """Run pytest here; returns what it printed, and its document, which is valid."""
        result = self.run("--handshake-json=session.json", *words)
        document = self.json("session.json")
        schema_checks.validate(document)
        return result, document

    def json(self, name: str) -> Any:
        """What a file of the project holds."""
        return json.loads((self.path / name).read_bytes())


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project below the temporary directory, with nothing of this session's own settings."""
    return Project(pytester, monkeypatch)
