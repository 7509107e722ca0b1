"""Lab kernels for the tests of networks, and results of jobs that several tests use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.lab.lab_machine import LabMachine
from jobs import job_from_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

JOBS = "tests.network.guest_jobs"

Do = "Callable[..., Any]"


@pytest.fixture(scope="session")
def image() -> LabKernelImage:
    """The newest lab kernel, built if there is none."""
    return provide_lab.ensure()


@pytest.fixture(scope="session")
def do(image: LabKernelImage) -> Callable[..., Any]:
    """Run a job of `guest_jobs` in a fork of its own of a lab kernel, and return its result."""

    def run(name: str, argument: Any = None, *, seed: int = 1, memory: int = 512) -> Any:
        lab = LabKernel(image, seed=seed, wall_limit=120, fresh_boot=False, machine=LabMachine(memory))
        with lab.run(job_from_tests(f"{JOBS}:{name}", argument=argument)) as outcome:
            assert outcome.status == 0, outcome.console
            return json.loads((outcome.results / "found.json").read_text())

    return run
