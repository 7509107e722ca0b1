"""Booting a stock kernel in real time: time, what is seen of the host, and that nothing of the machine stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.kernel_name import in_real_time
from jobs import REPOSITORY, job_from_tests
from kernel_processes import processes_below, vanishes
from polling import comes_true
from vm.guest_jobs import INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab.kernel.shared.protocol import Kernel

JOBS = "tests.vm.guest_jobs"


@pytest.fixture(scope="module")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel that the command line names, in real time."""
    return choose_kernel(name_of(request), seed=1, wall_limit=60)


def name_of(request: pytest.FixtureRequest) -> str:
    """The name of that kernel."""
    return in_real_time(request.config.getoption("--handshake-kernel"))


@pytest.fixture(scope="module")
def found(kernel: Kernel) -> Iterator[dict[str, Any]]:
    """What one machine saw, and what this one saw of it."""
    with tempfile.TemporaryDirectory(prefix="readable-") as place:
        Path(place, "note").write_text("read me")
        readable = (Path(place).resolve(),)
        job = job_from_tests(f"{JOBS}:look_around", argument={"readable": [str(readable[0])]}, readable=readable)
        with kernel.run(job) as outcome:
            assert outcome.status == 0, outcome.console
            seen = json.loads((outcome.results / "found.json").read_text())
            dates = [(outcome.results / name).stat().st_mtime for name in ("before", "after")]
        yield {**seen, "between": dates[1] - dates[0], "results": outcome.results, "readable": str(readable[0])}


def test_it_is_the_kernel_that_it_says(kernel: Kernel, found: dict[str, Any]) -> None:
    """The record contains the release that uname reports in the guest; the job is root there, with tracepoints."""
    assert (kernel.info.kind, kernel.info.release, kernel.info.seed) == ("vm", found["release"], None)
    assert found["uid"] == 0
    assert found["tracepoints"]


def test_its_clock_runs_as_fast_as_the_hosts(found: dict[str, Any]) -> None:
    """Five seconds inside are five seconds outside, to a tenth, however busy this machine is."""
    assert found["took"] == pytest.approx(INTERVAL, abs=0.5)
    assert found["between"] == pytest.approx(found["took"], rel=0.1)


def test_the_hosts_files_cannot_be_written(found: dict[str, Any]) -> None:
    """Only the results lead out; directories below /tmp are seen only if the job names them."""
    assert found["refused"] == dict.fromkeys(["/", "/usr", "/etc", found["readable"]], "Read-only file system")
    assert found["read"] == ["read me"]
    assert Path(found["readable"]).name in found["private"]


def test_results_vanish_with_the_block(found: dict[str, Any]) -> None:
    """Results without a directory of the caller are removed afterwards."""
    assert not found["results"].exists()


def test_a_panic_is_reported_with_the_last_console_lines(kernel: Kernel) -> None:
    """A kernel that panics fails its job at once; the error contains the message."""
    with pytest.raises(KernelFailed) as caught, kernel.run(job_from_tests(f"{JOBS}:panic")):
        pass

    assert "Kernel panic" in caught.value.console


PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from pathlib import Path
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.kernel_name import in_real_time
from jobs import job_from_tests
with choose_kernel(sys.argv[1], 1).run(job_from_tests("tests.vm.guest_jobs:wait_for_ever", results=Path(sys.argv[2]))):
    pass
"""


def killed_caller_leaves_nothing(kernel: str, results: Path, begun: Callable[[Path], bool], *, within: float) -> None:
    """Start a process that runs a job, and kill it without warning: neither machine nor scratch directory stays.

    Args:
        kernel: The kernel's name.
        results: A directory for what the job writes.
        begun: Whether it is time to kill; gets the directory of temporary files.
        within: Seconds until then, at most.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        words = [sys.executable, "-c", PROGRAM, kernel, str(results)]
        with subprocess.Popen(words, env={**os.environ, "TMPDIR": str(directory)}) as process:
            try:
                assert comes_true(lambda: begun(directory), within), "it did not begin"
                assert processes_below(directory)
            finally:
                process.kill()

        assert comes_true(lambda: not processes_below(directory)), "the machine outlived its caller"
        assert vanishes(directory), "the scratch directory outlived its caller"


def test_nothing_stays_when_the_caller_is_killed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """No machine and no file outlives the one who started it, even if that one is given no time to tidy up."""
    killed_caller_leaves_nothing(name_of(request), tmp_path, lambda _: (tmp_path / "began").exists(), within=150)
