"""Parks the machine on which this process runs, so that it can be forked: lab kernels only.

docs/explanation/fork.md explains how.
"""

from __future__ import annotations

import os
from pathlib import Path

_PARK = Path("/proc/machine_fork")
#: The maximum length of the text for a fork.
_LONGEST = 4096


def park() -> str:
    """Park the machine. Returns in its forks only, with the text for each of them.

    No virtual time passes: all processes, threads and segments in flight continue in each fork as if the
    machine had not been parked.

    Raises:
        OSError: This machine cannot be parked.
    """
    descriptor = os.open(_PARK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST).decode()
    finally:
        os.close(descriptor)
