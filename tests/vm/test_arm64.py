"""A stock kernel of arm64, in virtual time, on a machine of any architecture."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from handshake_lab.kernel.choose import choose_kernel
from jobs import job_from_tests
from vm.test_virtual_time import JOBS, STEPS, passed_time

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is not installed (package qemu-system-arm)"
)


@pytest.fixture
def kernel() -> Kernel:
    """The kernel of this machine's distribution for arm64."""
    return choose_kernel("vm:arm64", seed=1, wall_limit=60)


def test_every_run_of_a_seed_is_the_same(kernel: Kernel) -> None:
    """As on x86-64, whose jobs it does, although its root consists of packages."""
    first, second = passed_time(kernel), passed_time(kernel)
    other = passed_time(choose_kernel("vm:arm64", seed=2, wall_limit=60))

    assert first == second
    assert first["random"] != other["random"]
    assert first["computed"] == sum(number * number % 7 for number in range(STEPS))
    assert kernel.info.release.endswith("-arm64")


def test_a_job_fails_there_with_its_status(kernel: Kernel) -> None:
    """And what it printed is on the console."""
    with kernel.run(job_from_tests(f"{JOBS}:missing")) as outcome:
        assert outcome.status == 70
        assert "has no attribute 'missing'" in outcome.console
