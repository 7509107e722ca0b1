"""Getting a stock kernel: one that this machine has, or else the distribution's, fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.processes import tidy_on_signals
from handshake_lab.kernel.vm.stock_kernels import NEEDED
from handshake_lab.kernel.vm.stock_packages import fetch

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.progress import Progress
    from handshake_lab.kernel.vm.stock_kernels import StockKernel, StockKernels

#: Bytes on disk while a kernel is fetched and unpacked.
SPACE_NEEDED = 400 * cache.MIB


def check_version(version: str) -> None:
    """Check the version of a stock kernel.

    Raises:
        UsageError: It is invalid.
    """
    if version not in {"", "stock", "newest"} and not re.match(r"\d+\.\d+", version):
        raise UsageError("--kernel", f"vm:{version}", "is no release of Linux", "--kernel vm:6.1, or vm:newest")


def provide(version: str, progress: Progress, kernels: StockKernels) -> StockKernel:
    """A kernel that is ready to boot; fetched from the distribution's mirror if there is none.

    Args:
        version: As in `StockKernels.find`.
        progress: Told what is being done.
        kernels: Where to look, and where to put it.

    Raises:
        UsageError: ``version`` is invalid.
        EnvironmentUnsupported: It cannot be fetched.
    """
    check_version(version)
    if found := kernels.find(version):
        return found

    def waiting() -> None:
        progress.note("Another handshake is fetching or building a kernel here; waiting for it.")

    with tidy_on_signals(), cache.exclusive(waiting), cache.workshop() as workshop:
        if found := kernels.find(version):
            return found
        cache.demand_space(SPACE_NEEDED, "Fetching a stock kernel")
        made = fetch(version or "stock", workshop, progress)
        with cache.disk_errors("putting the kernel in its place"):
            cache.install(made, kernels.root / made.name)
    found = kernels.find(version)
    if found is None:
        raise EnvironmentUnsupported(
            f"Linux {made.name} was fetched, but it lacks what a run needs ({', '.join(NEEDED)})",
            "Name another release: --kernel vm:6.12",
        )
    return found
