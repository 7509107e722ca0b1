"""Where a run in the lab kernel begins: at a fixed time, with nothing but the seed behind it.

Whatever happened before a run must not show in its record: which Python runs it, how that was built, where it and this
project are installed, whether there was bytecode. Three things would carry it over.

The clock. What Python does by the way takes a little virtual time, and how often it does so depends on all of this
(`handshake_lab.linux.virtual_time`). While a network is built and recorded, it takes none. For what came before, a run
begins at one of a few fixed times, by a timer that expires exactly then, and the clock of its record begins there.

Randomness. Initial sequence numbers, ports and losses come from one generator (drivers/char/random.c), which takes a
new key from the kernel's pool at intervals (crng_reseed()). Every process that ends adds to that pool
(kernel/exit.c, release_task()), and so does every interface that is made or switched on (net/core/dev.c). Two runs of
one seed would draw the same numbers only up to the first such key. The generator is therefore started twice: for the
construction of the network, and again when everything is in place.

Counters. Each socket and each pipe takes an inode number (fs/inode.c, get_next_ino()), which sock_diag reports.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Literal

from handshake_lab.linux.randomness import seed_randomness
from handshake_lab.linux.timerfd import sleep_until
from handshake_lab.linux.virtual_time import free_of_time

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The kernel's timers are in wheels whose slots are up to 4096 jiffies wide, for timers of up to 1000 s
#: (kernel/time/timer.c): how late a timer is depends on when within such a period it is started. In nanoseconds, for
#: the lab kernel's jiffy of 4 ms.
_WHEEL = 4096 * 4_000_000

#: A run begins at this time of the kernel's monotonic clock, or a multiple of `_WHEEL` later. This is later than what
#: precedes it, and far from the times at which the kernel's generator takes a new key (28 s and 42 s after boot). TCP
#: takes a time of 0 s for "never" (ts_recent_stamp of include/net/tcp.h; tcp_twsk_unique(), net/ipv4/tcp_ipv4.c).
_FIRST = 2_000_000_000 + 2 * _WHEEL

#: The first socket of a run has an inode number just above a multiple of this.
_INODES = 1024


@contextlib.contextmanager
def repeatable(seed: int | None) -> Iterator[None]:
    """Build and record a network in this block: what follows from the seed comes out the same in every Python.

    Args:
        seed: The seed of the run; None if the run is not to be repeatable, as on a kernel in real time.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    if seed is None:
        yield
        return
    collecting, vfork = gc.isenabled(), subprocess._USE_VFORK  # noqa: SLF001  the documented switch
    # When garbage is collected depends on Python's version, and a socket that was lost in it is closed then.
    gc.disable()
    # With vfork(), the caller waits until its child has called exec. Whether other threads run meanwhile depends on
    # Python's version (they do from 3.11.4 on), and so does what the recorder sees first.
    vars(subprocess)["_USE_VFORK"] = False
    try:
        with free_of_time():
            begin(seed, "network")
            yield
    finally:
        vars(subprocess)["_USE_VFORK"] = vfork
        if collecting:
            gc.enable()


def begin(seed: int, stage: Literal["network", "run"]) -> None:
    """Wait for the next time at which a run can begin, and start the kernel's randomness from the seed.

    Args:
        seed: The seed of the run.
        stage: What begins: the construction of the network, or the run itself. Each has random numbers of its own.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    if stage == "run":
        _use_inodes()
    periods = max(0, (time.monotonic_ns() - _FIRST) // _WHEEL + 1)
    sleep_until(_FIRST + periods * _WHEEL)
    random.seed(seed_randomness(seed, f", {stage}"))


def _use_inodes() -> None:
    """Use inode numbers up to the next multiple of `_INODES`."""
    number = -1
    while number % _INODES:
        with socket.socket(socket.AF_UNIX) as unused:
            number = os.fstat(unused.fileno()).st_ino
