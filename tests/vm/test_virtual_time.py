"""A stock kernel in virtual time: the same seed gives the same run, waiting takes no time, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.vm.virtual import templates
from jobs import job_from_tests
from kernel_processes import processes_below, vanishes
from polling import comes_true
from vm.test_machine import PROGRAM, killed_caller_leaves_nothing

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel

JOBS = "tests.vm.guest_jobs"
STEPS = 200_000


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The kernel that the command line names."""
    return str(request.config.getoption("--handshake-kernel")).removesuffix("+real-time")


@pytest.fixture
def kernel(name: str) -> Kernel:
    """That kernel with a seed."""
    return choose_kernel(name, seed=1, wall_limit=60)


def passed_time(kernel: Kernel) -> dict[str, Any]:
    """What a job that waits and computes has found."""
    with kernel.run(job_from_tests(f"{JOBS}:pass_time", argument={"steps": STEPS})) as outcome:
        assert outcome.status == 0, outcome.console
        found: dict[str, Any] = json.loads((outcome.results / "found.json").read_text())
        return found


def test_an_hour_passes_at_once_and_every_run_of_a_seed_is_the_same(kernel: Kernel, name: str) -> None:
    """Times to the nanosecond, random numbers and interrupts are equal, although another program computes, too."""
    began = time.monotonic()
    first = passed_time(kernel)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            second = passed_time(kernel)
        finally:
            busy.kill()
    took = time.monotonic() - began
    other = passed_time(choose_kernel(name, seed=2, wall_limit=60))

    assert first == second
    assert 3600 <= first["slept"] / 1e9 < 3601
    assert took < 600
    assert (first["random"], first["uuid"]) != (other["random"], other["uuid"])
    # Instructions that no kernel could answer from a seed.
    assert not {"rdrand", "rdseed"} & set(first["flags"].split())


def test_its_description_has_a_seed(kernel: Kernel) -> None:
    """Virtual time and random numbers by the seed: a property of the run, not of the kind of kernel."""
    assert (kernel.info.kind, kernel.info.seed, kernel.info.real_time) == ("vm", 1, False)


def test_a_job_has_its_files_and_writes_only_in_the_machine(kernel: Kernel, tmp_path: Path) -> None:
    """Directories that a job names are there, without what tools keep; what it writes is only in its results."""
    for path in ("project/module.py", "project/.git/config", "project/deep/data.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("text")
    paths = [str(tmp_path / path) for path in ("project/module.py", "project/.git/config", "project/deep/data.txt")]
    job = job_from_tests(f"{JOBS}:see_files", argument={"paths": paths}, readable=(tmp_path / "project",))

    with kernel.run(job) as outcome:
        assert outcome.status == 0, outcome.console
        found = json.loads((outcome.results / "deep/found.json").read_text())

    assert found == {paths[0]: True, paths[1]: False, paths[2]: True, "written": True}
    assert not Path("/usr/handshake-written").exists()
    assert not outcome.results.exists()


def test_a_panic_fails_the_job_at_once(kernel: Kernel) -> None:
    """The error contains the kernel's message."""
    with pytest.raises(KernelFailed) as caught, kernel.run(job_from_tests(f"{JOBS}:panic")):
        pass

    assert "Kernel panic" in caught.value.console


def test_a_template_that_is_not_finished_is_not_in_the_cache(name: str, tmp_path: Path) -> None:
    """Killed while the machine boots: it ends, nothing of it is found, and the next one begins from nothing."""
    own, scratch, results = tmp_path / "cache/handshake-lab", tmp_path / "scratch", tmp_path / "results"
    for directory in (own, scratch, results):
        directory.mkdir(parents=True)
    for each in ("stock", "helpers"):
        (own / each).symlink_to(cache.cache_root() / each)
    environment = {**os.environ, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(own.parent)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, name, str(results)], env=environment) as process:
        try:
            assert comes_true(lambda: any(own.glob("work/*/*/memory")), 200), "no machine was started"
            assert processes_below(scratch)
        finally:
            process.kill()

    assert comes_true(lambda: not processes_below(scratch)), "the machine outlived its caller"
    assert vanishes(scratch), "the scratch directory outlived its caller"
    assert not (own / "machines").exists()
    with cache.exclusive(lambda: pytest.fail("the lock is held"), own), cache.workshop(own):
        assert len(list(own.glob("work/*"))) == 1, "what was left is still there"


def test_nothing_stays_when_the_caller_is_killed(name: str, tmp_path: Path) -> None:
    """No machine and no file but the template outlives the one who started it."""
    killed_caller_leaves_nothing(name, tmp_path, lambda directory: bool(processes_below(directory)), within=300)
    saved = list(templates.root().iterdir())
    assert saved
    assert all((each / "state").exists() for each in saved)
