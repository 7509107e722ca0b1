"""A project of a user in a directory of its own, in which pytest runs: for tests of the plugin and of exploring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.explore import keep  # noqa: F401
from handshake_lab.kernel.lab import lab_kernel, parked_kernel  # noqa: F401  one pool for all sessions in this process
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
    from pathlib import Path

    import pytest

#: pytester changes HOME; the kernels must not be built again there.
_CACHE = cache_root().parent
#: Installed plugins that a project has only in tests about them.
OTHERS = ("asyncio", "randomly", "rerunfailures", "timeout")
ALONE = [word for name in OTHERS for word in ("-p", f"no:{name}")]


class Project:
    """An empty directory below the temporary one, with nothing of this session's own settings."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(_CACHE))
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        self._pytester = pytester
        self.path: Path = pytester.path

    def write(self, **files: str) -> None:
        """Write Python files, by their names without .py."""
        self._pytester.makepyfile(**files)

    def run(self, *words: str) -> pytest.RunResult:
        """Run pytest in it, in this process: the quicker way."""
        return self._pytester.runpytest_inprocess(*ALONE, *words)
