"""Booting the lab kernel: time, chance, isolation, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ctrl_c
import pytest
from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from jobs import REPOSITORY, job_from_tests
from kernel_processes import processes_below, vanishes
from polling import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

JOBS = "tests.kernel.guest_jobs"

#: How many runs are killed at a random moment.
KILLS = int(os.environ.get("HANDSHAKE_KILLS", "25"))


def test_waiting_takes_no_wall_time(lab: LabKernel) -> None:
    """A minute's sleep inside is a minute of the guest's time, to 50 ms, and a few seconds at most outside."""
    began = time.perf_counter()
    with lab.run(job_from_tests(f"{JOBS}:sleep_a_minute")) as outcome:
        slept = int((outcome.results / "slept").read_text())

    assert 60.0 <= slept / 1e9 < 60.05
    assert time.perf_counter() - began < 20


def test_chance_is_a_function_of_the_seed(image: LabKernelImage) -> None:
    """os.urandom, hash(), random, the wall clock and addresses are the same for one seed, and differ for another:
    in every lab kernel that this machine has, because older ones leave more of that to their surroundings.
    """

    def chance(image: LabKernelImage, seed: int) -> str:
        with LabKernel(image, seed=seed).run(job_from_tests(f"{JOBS}:chance")) as outcome:
            return (outcome.results / "chance").read_text()

    for each in LabImages().images() or [image]:
        first = chance(each, 7)

        assert first == chance(each, 7)
        assert first != chance(each, 8)


def test_what_happened_before_a_run_does_not_show_in_it(image: LabKernelImage) -> None:
    """However many programs drew numbers, read the clock and ended before: a run begins with its seed alone, on every
    lab kernel of these that this machine has.
    """

    def chance(image: LabKernelImage, history: int) -> str:
        with LabKernel(image, seed=7).run(job_from_tests(f"{JOBS}:chance_of_a_run", argument=history)) as outcome:
            assert outcome.status == 0, outcome.console
            return (outcome.results / "chance").read_text()

    current = [each for each in LabImages().images() if each.current]
    for each in current or [image]:
        assert chance(each, 0) == chance(each, 3)


@pytest.mark.parametrize("fresh_boot", [True, False])
def test_a_job_that_never_waits_is_killed_and_the_error_says_why(image: LabKernelImage, fresh_boot: bool) -> None:
    """Virtual time does not pass in a loop that never blocks, so wall time must end it."""
    lab = LabKernel(image, wall_limit=2, fresh_boot=fresh_boot)

    with pytest.raises(KernelFailed, match="killed after 2 s of wall time"), lab.run(job_from_tests(f"{JOBS}:spin")):
        pass


def test_an_exception_is_a_status_and_its_traceback_is_on_the_console(lab: LabKernel) -> None:
    """A job that raises ends with status 70 (EX_SOFTWARE)."""
    with lab.run(job_from_tests(f"{JOBS}:fail")) as outcome:
        assert outcome.status == 70
        assert "ValueError: this job fails on purpose" in outcome.console


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_exit_status_is_passed_back(lab: LabKernel, status: int) -> None:
    """The outcome contains the status that the job returned."""
    with lab.run(job_from_tests(f"{JOBS}:give_status", argument=status)) as outcome:
        assert outcome.status == status


def test_a_panic_is_reported_with_the_last_console_lines(lab: LabKernel) -> None:
    """A kernel that panics fails its job; the error contains the message."""
    with pytest.raises(KernelFailed) as caught, lab.run(job_from_tests(f"{JOBS}:panic")):
        pass

    assert "Kernel panic" in caught.value.console


def test_running_out_of_memory_ends_the_job_not_the_machine(lab: LabKernel) -> None:
    """The guest's own OOM killer ends the job: its status is that of a process killed by SIGKILL."""
    with lab.run(job_from_tests(f"{JOBS}:exhaust")) as outcome:
        assert outcome.status == -signal.SIGKILL
        assert "Out of memory" in outcome.console


def test_the_hosts_files_cannot_be_written(lab: LabKernel) -> None:
    """Programs write where they like, in memory; only the results directory leads out."""
    hosts = Path("/etc/hosts").read_bytes()
    with lab.run(job_from_tests(f"{JOBS}:look_around")) as outcome:
        written = (outcome.results / "written").read_text()

    assert written == "written written written replaced"
    assert Path("/etc/hosts").read_bytes() == hosts
    assert not [place for place in ("/", "/usr", "/etc") if Path(place, "handshake-probe").exists()]


def test_results_vanish_with_the_block(lab: LabKernel) -> None:
    """Results without a directory of the caller are removed afterwards."""
    with lab.run(job_from_tests(f"{JOBS}:chance")) as outcome:
        results = outcome.results
        assert results.exists()

    assert not results.exists()


def test_results_are_kept_where_they_are_asked_for(lab: LabKernel, tmp_path: Path) -> None:
    """A directory that the caller names stays."""
    with lab.run(job_from_tests(f"{JOBS}:chance", results=tmp_path)):
        pass

    assert (tmp_path / "chance").exists()


PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.lab import provide_lab
from jobs import job_from_tests
with LabKernel(provide_lab.ensure(), wall_limit=60).run(job_from_tests("{JOBS}:wait_for_ever")):
    pass
"""


@contextlib.contextmanager
def running_elsewhere(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a lab kernel run, with its temporary files in a directory of its own."""
    environment = {**os.environ, "TMPDIR": str(directory)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=ctrl_c.hear,  # noqa: PLW1509  no threads here
    )
    try:
        assert comes_true(lambda: len(processes_below(directory)) >= 3), "the kernel did not start"
        yield process
    finally:
        process.kill()
        process.wait()


def test_finding_a_place_for_scratch_writes_nothing(tmp_path: Path) -> None:
    """Python's own `tempfile.gettempdir` would make a file and remove it: a kill in between would leave it behind."""
    program = """
import os, sys
from handshake_lab.kernel.shared.supervisor import new_scratch
made = []
sys.addaudithook(lambda event, words: made.append(words) if event == "open" and words[2] & os.O_CREAT else None)
place = new_scratch()
assert not made, made
print(place.parent)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "is not there"), "TEMP": str(tmp_path), "TMP": "/"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == (f"{tmp_path}\n", "")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_nothing_stays_when_the_caller_is_killed(how: signal.Signals) -> None:
    """No process and no file outlives the one who started the kernel."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        with running_elsewhere(directory) as process:
            assert list(directory.iterdir())

            process.send_signal(how)
            process.wait()

            assert comes_true(lambda: not processes_below(directory)), "the kernel outlived its caller"
            assert vanishes(directory), f"left behind: {list(directory.rglob('*'))}"


def test_nothing_stays_after_kills_at_random_moments() -> None:
    """SIGKILL at any moment, from before the supervisor starts to the midst of the job: no process, no file."""
    chance = random.Random(7)  # noqa: S311  not a secret
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        environment = {**os.environ, "TMPDIR": str(directory)}
        for _ in range(KILLS):
            program = [sys.executable, "-c", PROGRAM]
            with subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0, 0.6))
                process.kill()

        assert comes_true(lambda: not processes_below(directory)), "a kernel outlived its caller"
        assert vanishes(directory), f"left behind: {list(directory.rglob('*'))}"
