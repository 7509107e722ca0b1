"""Parking the machine that this process runs on, so that it can be forked: lab kernels only (docs/machine_fork.md)."""

from __future__ import annotations

import os
from pathlib import Path

_PARK = Path("/proc/machine_fork")
#: The longest text that a fork is given.
_LONGEST = 4096


def can_park() -> bool:
    """Whether this machine can be parked: a lab kernel that was started to be forked."""
    return _PARK.exists()


def park() -> str:
    """Park the machine. Returns in its forks only, with the text that each was given.

    No virtual time passes, and this process notices nothing: all processes and threads, and whatever is on its
    way through the network, continue in each fork from this moment.

    Raises:
        OSError: This machine cannot be parked.
    """
    descriptor = os.open(_PARK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST).decode()
    finally:
        os.close(descriptor)
