"""The beginning of a run in the lab kernel: the same state and time in every installation, determined by the seed.

The record of a run must not depend on the version and build of Python, on where Python and this project are installed,
or on whether there was bytecode. It could depend on them in three ways.

The clock. Clock readings and failed system calls of Python take a little virtual time, and their number depends on all
of this (`handshake_lab.linux.virtual_time`). While a network is built and recorded, they take no time. To remove the
effect of earlier ones, a run waits with a timer until one of a few fixed times, and its clock begins there.

Random numbers. Initial sequence numbers, ports and losses come from one generator (drivers/char/random.c), which takes
a new key from the kernel's pool at intervals (crng_reseed()). Every process that exits adds to that pool
(kernel/exit.c, release_task()), and so does every interface that is created or brought up (net/core/dev.c). Two runs
with the same seed would have the same numbers only up to the next key. Therefore the generator is seeded twice: before
the network is built, and again before the script begins.

Counters. Each socket and each pipe takes an inode number (fs/inode.c, get_next_ino()), which sock_diag reports.
"""

from __future__ import annotations

import _posixsubprocess
import contextlib
import gc
import random
import subprocess
import time
from typing import TYPE_CHECKING, Any, Literal

from handshake_lab.linux.inode_numbers import STAGE, skip_to
from handshake_lab.linux.randomness import seed_randomness
from handshake_lab.linux.timer_wheel import JIFFY, unit
from handshake_lab.linux.timerfd import sleep_until
from handshake_lab.linux.virtual_time import free_of_time

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The timer wheel has slots of up to 4096 jiffies for timers of up to 1000 s: how late a timer fires depends on
#: the position of its start in such a slot. In nanoseconds.
_WHEEL = unit(1000 * 10**9) * JIFFY

#: A run begins at this time of the kernel's monotonic clock, or a multiple of `_WHEEL` later. The boot and all
#: preparations end earlier, and the kernel's generator takes new keys at other times (28 s and 42 s after boot). It is
#: not 0 s, which TCP treats as "never" (ts_recent_stamp, include/net/tcp.h; tcp_twsk_unique(), net/ipv4/tcp_ipv4.c).
_FIRST = 2_000_000_000 + 2 * _WHEEL

#: The inode numbers of sockets of a stage begin a little above a multiple of this. A network takes some hundreds.
_INODES = {"network": STAGE, "run": STAGE // 4}


@contextlib.contextmanager
def repeatable(seed: int | None) -> Iterator[None]:
    """Build and record a network in this block, so that the record is the same with every version of Python.

    Args:
        seed: The seed of the run; None on a kernel in real time, whose runs are not repeatable.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    if seed is None:
        yield
        return
    collecting = gc.isenabled()
    # The times of garbage collections, which close sockets that are no longer referenced, depend on Python's version.
    gc.disable()
    try:
        with _without_vfork(), free_of_time():
            begin(seed, "network")
            yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _without_vfork() -> Iterator[None]:
    """Have subprocess start programs with fork().

    With vfork(), the caller waits until its child has called exec. Whether other threads run in the meantime depends
    on Python's version (they do from 3.11.4 on), and then so does the order of observations.
    """
    names = vars(subprocess)
    name, wanted = ("_USE_VFORK", False) if "_USE_VFORK" in names else ("_fork_exec", _fork_exec)
    before = names[name]
    names[name] = wanted
    try:
        yield
    finally:
        names[name] = before


def _fork_exec(*arguments: Any) -> int:
    """Python 3.14 has no switch, but uses fork() if there is a function to call in the child: the last argument."""
    *others, function = arguments
    start: Any = _posixsubprocess.fork_exec  # of another type in each version
    return int(start(*others, function or _nothing))


def _nothing() -> None:
    """Be called in a child, before exec."""


def begin(seed: int, stage: Literal["network", "run"]) -> None:
    """Wait for the next time at which a run can begin, and seed the kernel's random number generator.

    Args:
        seed: The seed of the run.
        stage: Whether the construction of the network begins, or the run itself; their random numbers differ.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    skip_to(_INODES[stage])
    periods = max(0, (time.monotonic_ns() - _FIRST) // _WHEEL + 1)
    sleep_until(_FIRST + periods * _WHEEL)
    random.seed(seed_randomness(seed, f", {stage}"))
