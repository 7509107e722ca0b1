"""A lab kernel for the tests of booting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def image() -> LabKernelImage:
    """The newest lab kernel, built if there is none."""
    return provide_lab.ensure()


@pytest.fixture(params=["boot", "fork"])
def lab(request: pytest.FixtureRequest, image: LabKernelImage) -> LabKernel:
    """A lab kernel that is killed after 20 s of wall time: booted for each job, and forked for each."""
    return LabKernel(image, wall_limit=20, fresh_boot=request.param == "boot")
