"""Marks the process that records a run in a lab kernel: what it does by the way takes no virtual time.

In User-Mode Linux's virtual time, computing takes no time; but reading the clock takes 256 ns, and a system call that
fails takes 1 µs, so that a program which waits in a loop comes to an end. How often Python does either depends on its
version, on how it was built (a lock that is taken reads the clock, if the C library was recent enough), and on where it
is installed (each directory in which there is no such module is a call that fails). The lab kernel lets both take no
time for a marked process; see ``time_travel_free`` in handshake_lab/kernel/lab/build/configuration.py.

Source: personality(2).
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: include/uapi/linux/personality.h. Threads and child processes inherit it, until they execute a program.
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
