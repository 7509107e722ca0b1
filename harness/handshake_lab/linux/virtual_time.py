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
from typing import TYPE_CHECKING

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
