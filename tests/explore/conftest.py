"""What the tests of the exploration share: a project of its own, in which tests are explored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from handshake_lab.explore import keep  # noqa: F401  pytester would import half of the package again
from handshake_lab.explore.keep import FINDING, KeptFinding
from handshake_lab.kernel.lab import lab_kernel, parked_kernel  # noqa: F401  one pool for all sessions in this process
from handshake_lab.kernel.shared.cache import cache_root
from handshake_lab.report.export import pcapng  # noqa: F401
from handshake_lab.report.html import page  # noqa: F401
from handshake_lab.report.terminal import ladder  # noqa: F401

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.explore.finding import Finding

#: pytester changes HOME; the kernels must not be built again there.
_CACHE = cache_root().parent
_ALONE = [word for name in ("asyncio", "randomly", "rerunfailures", "timeout") for word in ("-p", f"no:{name}")]


class Project:
    """A directory with tests, and what was found in them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path: Path = pytester.path

    def write(self, **files: str) -> None:
        """Write Python files, by their names without .py."""
        self._pytester.makepyfile(**files)

    def run(self, *words: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self._pytester.runpytest_inprocess(*_ALONE, *words)

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
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(_CACHE))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Project(pytester)
