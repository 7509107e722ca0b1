"""A pytest plugin: a busy process on every processor while the tests run.

    ./handshake test --no-checks --kernel host -n 2 -p benchmarks.busy
    ./handshake test --no-checks --kernel vm --boot-once --slow -n 3 --dist worksteal -p benchmarks.busy tests/scenarios

In real time the clock advances also while a test waits for a processor. The summary contains the share
of the processors' time that the busy processes used, and the share that was idle.
"""

# ruff: noqa: INP001 -- found by its path from the checkout
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.pytest_plugin.options.command_line import INSIDE

if TYPE_CHECKING:
    import pytest

#: It exits when pytest is killed.
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10_000))\n"


class Busy:
    """One busy process for each processor that pytest may use."""

    def __init__(self) -> None:
        self._processors = os.sched_getaffinity(0)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._began = self._idle = self._taken = 0.0

    def pytest_sessionstart(self) -> None:
        """Start the processes, before pytest-xdist starts its workers."""
        self._began, self._idle = time.monotonic(), idle_seconds(self._processors)
        self._processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in self._processors]

    def pytest_sessionfinish(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0  # already waited for: Popen must not wait again
            self._taken += usage.ru_utime + usage.ru_stime
        self._processes = []

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print how busy the processors were."""
        passed = (time.monotonic() - self._began) * len(self._processors)
        idle = idle_seconds(self._processors) - self._idle
        terminalreporter.write_line(
            f"busy processes ({len(self._processors)}) took {self._taken / passed:.0%} of the processors' time; "
            f"{idle / passed:.1%} was left idle"
        )


def idle_seconds(processors: set[int]) -> float:
    """Idle seconds of these processors since boot (proc_stat(5), the fourth and fifth number)."""
    names = {f"cpu{number}" for number in processors}
    found = [line.split() for line in Path("/proc/stat").read_text("ascii").splitlines()]
    ticks = sum(int(words[4]) + int(words[5]) for words in found if words[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK")


def pytest_configure(config: pytest.Config) -> None:
    """Register once: neither in a worker of pytest-xdist, nor inside a kernel."""
    if not hasattr(config, "workerinput") and INSIDE not in os.environ:
        config.pluginmanager.register(Busy(), "handshake-busy")
