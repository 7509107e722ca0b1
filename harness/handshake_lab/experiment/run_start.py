"""Where a run in the lab kernel begins: at a fixed time, with nothing but the seed behind it.

Whatever happened before a run must not show in its record: which Python runs it, how that was built, where it and this
project are installed, whether there was bytecode. Three things would carry it over.

The clock. Virtual time stands still while a program computes, but not entirely, so that a program which polls comes
to an end: reading the clock takes 256 ns (arch/um/kernel/time.c, timer_read()), and a system call that fails takes
1 µs (arch/um/kernel/skas/syscall.c, handle_syscall()). Python looks for each module in several directories (ENOENT),
and asks of files whether they are terminals (ENOTTY). So a run begins at one of a few fixed times, by a timer that
expires exactly then, and the clock of its record begins there.

Randomness. Initial sequence numbers, ports and losses come from one generator (drivers/char/random.c), which takes a
new key from the kernel's pool at intervals (crng_reseed()). The clock goes into that pool: whenever a process ends
(kernel/exit.c, release_task()) and whenever an interface is made or switched on (net/core/dev.c), the kernel calls
add_device_randomness(), which adds random_get_entropy(). So two runs of one seed would draw the same numbers only up
to the first such key. The generator is started twice: for the construction of the network, and again when everything
is in place.

Counters. Each socket and each pipe takes an inode number (fs/inode.c, get_next_ino()), which sock_diag reports.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from typing import Literal

from handshake_lab.linux.randomness import seed_randomness
from handshake_lab.linux.timerfd import sleep_until

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

_RUN = "run"


def begin(seed: int, stage: Literal["network", "run"]) -> None:
    """Wait for the next time at which a run can begin, and start the kernel's randomness from the seed.

    Args:
        seed: The seed of the run.
        stage: What begins: the construction of the network, or the run itself. Each has random numbers of its own.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    if stage == _RUN:
        # With vfork(), the caller waits until its child has called exec. Whether other threads of Python run
        # meanwhile depends on its version (they do from 3.11.4 on), and so does what the recorder sees first.
        subprocess._USE_VFORK = False  # type: ignore[misc]  # noqa: SLF001  the documented switch
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
