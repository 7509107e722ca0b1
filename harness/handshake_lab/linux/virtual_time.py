"""Marks the process that records a run in a lab kernel, so that its clock readings and failed calls take no time.

In User-Mode Linux's virtual time, computing takes no time; but reading the clock takes 256 ns, and a failed system call
1 µs, so that a loop that waits for a time ends. How often Python does either depends on its version, on its build
(taking a lock reads the clock, with a recent C library), and on its installation (when a module is imported, each
directory that does not contain it causes a failed call). In the lab kernel neither takes time for a marked process; see
``time_travel_free`` in handshake_lab/kernel/lab/build/configuration.py.

Source: personality(2).
"""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: include/uapi/linux/personality.h. Threads and child processes inherit it; exec() clears it.
_WHOLE_SECONDS = 0x2000000
#: Returns the personality and does not change it.
_QUERY = 0xFFFFFFFF

_libc = ctypes.CDLL(None)
_libc.personality.argtypes = [ctypes.c_ulong]


@contextlib.contextmanager
def free_of_time() -> Iterator[None]:
    """Mark the calling thread, and those that it starts, in this block."""
    before = _libc.personality(_QUERY)
    _libc.personality(before | _WHOLE_SECONDS)
    try:
        yield
    finally:
        _libc.personality(before)


#: What programs' use of the machine costs, and what they have used: of a lab kernel with the project's patches.
_COSTS = Path("/proc/time_travel")


class Preempted(NamedTuple):
    """The first program that was interrupted because it computed for too long.

    Attributes:
        pid: Its process.
        session: The session of that process.
        name: Its name, up to 15 bytes.
        times: How often programs were interrupted in all.
    """

    pid: int
    session: int
    name: str
    times: int


def can_cost() -> bool:
    """Whether this kernel can let programs' use of the machine cost time."""
    return _COSTS.exists()


def set_costs(syscall: int, clock: int, tsc: int, patience: int) -> None:
    """Set what programs' use of the machine costs, from now on.

    Args:
        syscall: Nanoseconds for each system call.
        clock: Nanoseconds for each reading of a clock.
        tsc: Nanoseconds for each reading of the processor's time-stamp counter.
        patience: Milliseconds of the host's processor time for which a program may compute without a system call.

    Raises:
        OSError: This kernel cannot.
    """
    _COSTS.write_text(f"syscall={syscall} clock={clock} tsc={tsc} patience={patience}", "ascii")


def preempted() -> Preempted | None:
    """The first program that was interrupted; None if there is none."""
    if not can_cost():
        return None
    for line in _COSTS.read_text("utf-8", "replace").splitlines():
        if line.startswith("preempted "):
            values, _, name = line.removeprefix("preempted ").partition(" comm=")
            found = dict(item.split("=") for item in values.split())
            return Preempted(int(found["pid"]), int(found["session"]), name, int(found["times"]))
    return None
