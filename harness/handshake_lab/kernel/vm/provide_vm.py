"""Providing a stock kernel: one of this machine's, or one downloaded from the distribution."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.processes import tidy_on_signals
from handshake_lab.kernel.vm import own_kernel
from handshake_lab.kernel.vm.stock_kernels import NEEDED
from handshake_lab.kernel.vm.stock_packages import fetch

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.progress import Progress
    from handshake_lab.kernel.vm.stock_kernels import StockKernel, StockKernels

#: Bytes on disk while a kernel is downloaded and unpacked.
SPACE_NEEDED = 400 * cache.MIB


def check_version(version: str) -> None:
    """Check the version of a stock kernel.

    Raises:
        UsageError: It is invalid.
    """
    known = version in {"", "stock", "newest"} or own_kernel.is_path(version)
    if not known and not re.match(r"\d+\.\d+", version):
        raise UsageError("--kernel", f"vm:{version}", "is not a release of Linux", "--kernel vm:6.1, or vm:newest")


def provide(version: str, progress: Progress, kernels: StockKernels) -> StockKernel:
    """A kernel that is ready to boot; downloaded from the distribution's mirror if there is none.

    Args:
        version: As in `StockKernels.find`, or the path of a kernel.
        progress: Receives the steps and their progress.
        kernels: The kernels of this machine; a downloaded one is added.

    Raises:
        UsageError: ``version`` is invalid.
        EnvironmentUnsupported: It cannot be downloaded.
    """
    check_version(version)
    if own_kernel.is_path(version):
        return own_kernel.find(version)
    if found := kernels.find(version):
        return found

    def waiting() -> None:
        progress.note("Another handshake is downloading or building a kernel; waiting for it.")

    with tidy_on_signals(), cache.exclusive(waiting), cache.workshop() as workshop:
        if found := kernels.find(version):
            return found
        cache.demand_space(SPACE_NEEDED, "Downloading a stock kernel")
        made = fetch(version or "stock", workshop, progress, kernels.architecture)
        with cache.disk_errors("installing the kernel"):
            cache.install(made, kernels.root / made.name)
    found = kernels.find(version)
    if found is None:
        raise EnvironmentUnsupported(
            f"Linux {made.name} was downloaded, but it lacks modules that a run needs ({', '.join(NEEDED)})",
            "Name another release: --kernel vm:6.12",
        )
    return found
