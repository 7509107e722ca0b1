"""What the tests of the plugin share: a project of its own, and a pytest that runs in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import schema_checks
from handshake_lab.kernel.lab import parked_kernel  # noqa: F401  one pool of them for all sessions in this process
from handshake_lab.kernel.shared.cache import cache_root
from handshake_lab.report.export import pcapng  # noqa: F401

# pytester removes modules that a run in this process imports. Half of a package that stays would be imported again,
# with classes that differ from those of the half that its attributes keep: therefore all of it stays.
from handshake_lab.report.html import (
    index,  # noqa: F401
    page,  # noqa: F401
)
from handshake_lab.report.terminal import ladder  # noqa: F401

if TYPE_CHECKING:
    import os
    from pathlib import Path

#: pytester changes HOME; the kernels must not be built again there.
_CACHE = cache_root().parent


#: Installed plugins that a project has only in tests about them.
_OTHERS = ("asyncio", "randomly", "rerunfailures", "timeout")
_ALONE = [word for name in _OTHERS for word in ("-p", f"no:{name}")]


class Project:
    """A project that uses the plugin, like a project of a user."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path: Path = pytester.path

    def write(self, **files: str) -> None:
        """Write Python files, by their names without .py."""
        self._pytester.makepyfile(**files)

    def run(self, *words: str) -> pytest.RunResult:
        """Run pytest here, in this process: the quicker way."""
        return self._pytester.runpytest_inprocess(*_ALONE, *words)

    def run_apart(self, *words: str | os.PathLike[str]) -> pytest.RunResult:
        """Run pytest here, in a process of its own."""
        return self._pytester.runpytest_subprocess(*_ALONE, *words)

    def run_with(self, plugin: str, *words: str) -> pytest.RunResult:
        """Run pytest here, in a process of its own, with one more of the installed plugins."""
        others = [word for name in _OTHERS if name != plugin for word in ("-p", f"no:{name}")]
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
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(_CACHE))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Project(pytester)
