"""Where a run in the lab kernel begins: at a whole second, and with nothing but the seed behind it.

What was done before (this Python's start, how many files it found on its way, the programs that set the
guest up) took time by a hair and drew from the kernel's randomness. None of it may show in the record.
"""

from __future__ import annotations

import fcntl
import hashlib
import random
import struct
import time
from pathlib import Path

#: include/uapi/linux/random.h: _IOW('R', 0x03, int[2]), _IO('R', 0x06), _IO('R', 0x07).
_RNDADDENTROPY, _RNDCLEARPOOL, _RNDRESEEDCRNG = 0x40085203, 0x5206, 0x5207


def begin(seed: int) -> None:
    """Wait for a whole second of the virtual clock, and at least its first; then begin with this seed's randomness.

    Kernel timers expire on jiffies: in what phase of one a run begins must not depend on what was done before it.
    And TCP takes times of 0 s for "never": a connection whose last timestamp came in the first second would have none
    to be told apart by (ts_recent_stamp of include/net/tcp.h; tcp_twsk_unique(), net/ipv4/tcp_ipv4.c).

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    begin_on_a_second()
    start = hashlib.sha512(b"handshake lab, seed %d" % seed).digest()
    entropy = struct.pack(f"ii{len(start)}s", 8 * len(start), len(start), start)
    with Path("/dev/random").open("wb", buffering=0) as device:
        # Linux 6.1 may not have been given 256 bits by now (POOL_READY_BITS, drivers/char/random.c). It draws once when
        # it has, which would make a difference later.
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        # The lab kernel's RNDCLEARPOOL empties the pool (see kernel/lab/build/configuration.py): what is put in then
        # is all there is.
        fcntl.ioctl(device, _RNDCLEARPOOL)
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        fcntl.ioctl(device, _RNDRESEEDCRNG)
    random.seed()  # Python's own numbers come from there, too


def begin_on_a_second() -> None:
    """Wait for a whole second of the virtual clock, and at least its first."""
    time.sleep((-time.monotonic_ns() % 1_000_000_000) / 1e9)
