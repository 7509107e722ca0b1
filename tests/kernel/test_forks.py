"""A parked lab kernel and its forks: equal to fresh boots, independent of one another, current, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab import parked_kernel
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from jobs import REPOSITORY, job_from_tests
from kernel.test_lab import KILLS
from kernel_processes import processes_below, vanishes
from polling import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

JOBS = "tests.kernel.guest_jobs"


@pytest.fixture(autouse=True)
def _forkable(image: LabKernelImage) -> None:
    """The newest release must fork; where a user's own source does not, there is nothing to test."""
    assert image.forks, f"Linux {image.release} was built without the patches for forking"


def fork(image: LabKernelImage, call: str, argument: Any = None, *, seed: int = 1, **job: Any) -> str:
    """What a job has written when it was done by a fork."""
    return _written(LabKernel(image, seed=seed, wall_limit=20, fresh_boot=False), call, argument, job)


def boot(image: LabKernelImage, call: str, argument: Any = None, *, seed: int = 1, **job: Any) -> str:
    """What a job has written when it was done by a kernel booted for it."""
    return _written(LabKernel(image, seed=seed, wall_limit=20), call, argument, job)


def _written(kernel: LabKernel, call: str, argument: Any, job: dict[str, Any]) -> str:
    with kernel.run(job_from_tests(f"{JOBS}:{call}", argument, **job)) as outcome:
        assert outcome.status == 0, outcome.console
        return (outcome.results / "written").read_text()


@pytest.mark.parametrize("preload", [(), ("handshake_lab.experiment.recorded_run",)], ids=["nothing", "experiment"])
@pytest.mark.parametrize("seed", [1, 7, 2**64 - 1])
def test_a_fork_is_what_a_fresh_boot_is(image: LabKernelImage, seed: int, preload: tuple[str, ...]) -> None:
    """Random numbers, hashes, clocks, PIDs, inodes, devices, addresses in the kernel, environment, directory."""
    expected = boot(image, "surroundings", seed=seed, preload=preload)

    assert fork(image, "surroundings", seed=seed, preload=preload) == expected
    assert fork(image, "surroundings", seed=seed, preload=preload) == expected


def test_forks_of_one_kernel_have_seeds_of_their_own(image: LabKernelImage) -> None:
    """The kernel was parked before any seed was known."""
    assert fork(image, "surroundings", seed=1) != fork(image, "surroundings", seed=2)


def test_what_a_fork_does_is_not_seen_by_the_next(image: LabKernelImage) -> None:
    """Files, settings, namespaces, processes, memory: each fork begins where the kernel was parked."""
    assert fork(image, "leave_traces") == fork(image, "leave_traces")


def test_a_file_that_changed_since_the_boot_is_read_again(image: LabKernelImage) -> None:
    """Contents, new files, removed files, replaced files, directories: everything that the parked kernel has read."""
    changes = [
        {"old": "one", "replaced": "one"},
        {"old": "two!", "replaced": "two!", "new": "new"},
        {"replaced": "three"},
    ]
    # In a directory that is not private to the guest: the parked kernel sees it, too.
    with tempfile.TemporaryDirectory(dir=sys.prefix) as place, _module(_reading(place)) as module:
        directory = Path(place, "files")
        directory.mkdir()
        for files in changes:
            for present in list(directory.iterdir()):
                if present.name not in files:
                    present.unlink()
            for name, text in files.items():
                if name == "replaced":
                    (directory.parent / "other").write_text(text)
                    (directory.parent / "other").rename(directory / name)
                else:
                    (directory / name).write_text(text)

            read = fork(image, "read_files", str(directory), preload=(module,))

            assert read == repr(sorted(files.items()))


def _reading(place: str) -> str:
    """The text of a module that looks up and reads all files below a directory when it is imported."""
    return f"from pathlib import Path\nSEEN = [p.read_text() for p in Path({place!r}).glob('*/*')]\n"


def test_a_kernel_whose_code_changed_is_booted_again(image: LabKernelImage) -> None:
    """What was imported before parking is held against what is on the disk, before each fork."""
    with _module("VALUE = 1") as module:
        assert fork(image, "module_value", module, preload=(module,)) == "1"
        _write_module(module, "VALUE = 22")

        assert fork(image, "module_value", module, preload=(module,)) == "22"


def test_a_job_that_cannot_be_preloaded_says_why(image: LabKernelImage) -> None:
    """As where it is booted: the traceback of the import is there."""
    with pytest.raises(KernelFailed, match="before it could be parked") as caught:
        fork(image, "surroundings", preload=("there_is_no_such_module",))

    assert "No module named 'there_is_no_such_module'" in caught.value.console


@contextlib.contextmanager
def _module(text: str) -> Iterator[str]:
    """An installed module, to be preloaded: its name."""
    name = f"handshake_probe_{os.getpid()}"
    _write_module(name, text)
    try:
        yield name
    finally:
        (Path(sysconfig.get_path("purelib")) / f"{name}.py").unlink()


def _write_module(name: str, text: str) -> None:
    (Path(sysconfig.get_path("purelib")) / f"{name}.py").write_text(text)


@pytest.mark.parametrize("trouble", ["panic", "exhaust", "spin"])
def test_a_sibling_in_trouble_harms_nobody(image: LabKernelImage, trouble: str) -> None:
    """While one fork panics, runs out of memory or spins, others of the same kernel do their jobs, and afterwards."""
    lab = LabKernel(image, wall_limit=3, fresh_boot=False)
    expected = fork(image, "surroundings")

    def get_into_trouble() -> None:
        with contextlib.suppress(KernelFailed), lab.run(job_from_tests(f"{JOBS}:{trouble}")):
            pass

    thread = threading.Thread(target=get_into_trouble)
    thread.start()
    during = 0
    while thread.is_alive() or during == 0:
        assert fork(image, "surroundings") == expected
        during += 1
    thread.join()

    assert fork(image, "surroundings") == expected


def test_a_fork_that_is_killed_fails_its_job_alone(image: LabKernelImage) -> None:
    """The parked kernel forks again, and its other forks go on."""
    with _killed_while_running(image, lambda _, running: running) as caught:
        assert "signal 9" in str(caught.value)

    assert fork(image, "surroundings")


def test_forks_outlive_the_parked_kernel(image: LabKernelImage) -> None:
    """Killed, it takes no job with it; the next job has another booted."""
    with _killed_while_running(image, lambda parked, _: parked) as caught:
        assert "wall time" in str(caught.value)  # the job spins until its limit

    assert fork(image, "surroundings")


def test_the_end_of_the_supervisor_is_the_end_of_all(image: LabKernelImage) -> None:
    """Its kernels die with it, the job fails, its scratch directories are removed, and the next job has all booted."""
    with _killed_while_running(image, lambda parked, _: [_parent(pid) for pid in parked]) as caught:
        assert "supervisor was killed" in str(caught.value)

    assert fork(image, "surroundings")


def test_where_a_fork_is_refused_a_kernel_is_booted(image: LabKernelImage) -> None:
    """For example memory: the results are the same, and the kernel reports that it does not fork."""
    parked_kernel.close_all()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name).resolve()
        patch.setattr(tempfile, "tempdir", str(directory))
        expected = fork(image, "surroundings")
        (parked,) = _kernels(directory)
        resource.prlimit(parked, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # a fork's memory is a file
        kernel = LabKernel(image, wall_limit=20, fresh_boot=False)

        assert _written(kernel, "surroundings", None, {}) == expected

        assert not kernel.forks
        parked_kernel.close_all()
        assert vanishes(directory)


@contextlib.contextmanager
def _killed_while_running(image: LabKernelImage, choose: Any) -> Iterator[pytest.ExceptionInfo[KernelFailed]]:
    """Have a fork spin; kill the processes that are chosen from (parked kernels, running forks); the job's failure."""
    parked_kernel.close_all()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name).resolve()
        patch.setattr(tempfile, "tempdir", str(directory))
        fork(image, "surroundings")
        parked = _kernels(directory)
        failures: list[KernelFailed] = []

        def spin() -> None:
            lab = LabKernel(image, wall_limit=3, fresh_boot=False)
            try:
                with lab.run(job_from_tests(f"{JOBS}:spin")):
                    pass
            except KernelFailed as failure:
                failures.append(failure)

        thread = threading.Thread(target=spin)
        thread.start()
        running: list[int] = []

        def runs() -> bool:
            running.extend(set(_kernels(directory)) - set(parked))
            return bool(running)

        assert comes_true(runs)
        for pid in choose(parked, running):
            os.kill(pid, signal.SIGKILL)
        thread.join()
        yield pytest.ExceptionInfo.from_exception(failures[0])
        fork(image, "surroundings")
        parked_kernel.close_all()
        assert comes_true(lambda: not processes_below(directory))
        assert vanishes(directory), list(directory.rglob("*"))


def _kernels(directory: Path) -> list[int]:
    """The kernels whose working directory is below a directory.

    Not their userspace processes, which are children of a kernel and bear its name until they execute their own
    program: a process killed then would not end the kernel.
    """
    parents: dict[int, int] = {}
    for pid in processes_below(directory):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if _command(pid).endswith("/linux"):
                parents[pid] = _parent(pid)
    return [pid for pid, parent in parents.items() if parent not in parents]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode()
    return ""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


PROGRAM = f"""
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.lab import provide_lab
from jobs import job_from_tests
lab = LabKernel(provide_lab.ensure(), wall_limit=60, fresh_boot=False)
for _ in range(1000):
    with lab.run(job_from_tests("{JOBS}:surroundings")):
        pass
"""


IN_A_CONTAINER = f"""
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.lab import provide_lab
from jobs import job_from_tests
lab = LabKernel(provide_lab.ensure(), wall_limit=60, fresh_boot=False)
for _ in range(2):
    with lab.run(job_from_tests("{JOBS}:surroundings")) as result:
        print(result.status, lab.forks)
"""
#: With less room in /dev/shm than a kernel's memory needs, as containers have it.
SMALL = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=64m shm /dev/shm && exec "$@"',
    "sh",
]


@pytest.mark.parametrize("around", [[], SMALL], ids=["profile", "profile and 64 MB"])
def test_forks_work_in_a_container(around: list[str]) -> None:
    """Under an approximation of Docker's default seccomp profile, also with a /dev/shm of 64 MB."""
    if around and subprocess.run([*around, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not create a mount namespace")
    profile = [sys.executable, str(REPOSITORY / "tests" / "docker_profile.py")]
    done = subprocess.run(
        [*around, *profile, sys.executable, "-c", IN_A_CONTAINER],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")},
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )

    assert done.stdout.splitlines() == ["0 True"] * 2, done.stderr


def test_nothing_stays_after_kills_at_random_moments() -> None:
    """SIGKILL of the controller, a supervisor, a parked kernel or a fork, at any moment: no process, no file stays."""
    chance = random.Random(11)  # noqa: S311  not a secret
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        environment = {**os.environ, "TMPDIR": str(directory), "PYTHONPATH": str(REPOSITORY / "tests")}
        for _ in range(KILLS):
            with subprocess.Popen(
                [sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.DEVNULL, cwd=REPOSITORY
            ) as process:
                time.sleep(chance.uniform(0, 1.5))
                others = processes_below(directory)
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    if others and chance.random() < 0.5:
                        victim = chance.choice(others)
                        os.kill(chance.choice([victim, _parent(victim)]), signal.SIGKILL)
                        time.sleep(1)  # the remaining processes notice it and clean up
                process.kill()

        assert comes_true(lambda: not processes_below(directory)), "a kernel outlived its caller"
        assert vanishes(directory), f"left behind: {list(directory.rglob('*'))}"
