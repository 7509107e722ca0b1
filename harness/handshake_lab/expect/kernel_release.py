"""The release of Linux of a run, for tests whose expectations depend on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from handshake_lab.recording.observations import KernelInfo


def kernel_version(kernel: KernelInfo) -> tuple[int, int]:
    """A kernel's release in a form that can be compared: (6, 1) for "6.1.192".

    Raises:
        UsageError: It is not a release of Linux.
    """
    found = re.match(r"(\d+)\.(\d+)", kernel.release)
    if not found:
        raise UsageError("kernel release", kernel.release, "is not a release of Linux", "6.1.192")
    return int(found[1]), int(found[2])


def kernel_since(kernel: KernelInfo, *release: int) -> bool:
    """Whether a kernel's release is this one or a later one: ``kernel_since(net.kernel, 6, 5)``."""
    return kernel_version(kernel) >= release
