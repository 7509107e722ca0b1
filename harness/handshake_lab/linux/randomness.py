"""Makes the kernel's random numbers depend on a seed only."""

from __future__ import annotations

import fcntl
import hashlib
import struct
from pathlib import Path

#: include/uapi/linux/random.h: _IOW('R', 0x03, int[2]), _IO('R', 0x06), _IO('R', 0x07).
_RNDADDENTROPY, _RNDCLEARPOOL, _RNDRESEEDCRNG = 0x40085203, 0x5206, 0x5207


def seed_randomness(seed: int) -> None:
    """Reset the lab kernel's random number generator, and initialise it with a seed.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    start = hashlib.sha512(b"handshake lab, seed %d" % seed).digest()
    entropy = struct.pack(f"ii{len(start)}s", 8 * len(start), len(start), start)
    with Path("/dev/random").open("wb", buffering=0) as device:
        # Linux 6.1 may not have received 256 bits yet (POOL_READY_BITS, drivers/char/random.c). It draws once when
        # it has, which would make a difference later.
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        # The lab kernel's RNDCLEARPOOL empties the pool (see kernel/lab/build/configuration.py): what is put in then
        # is all there is.
        fcntl.ioctl(device, _RNDCLEARPOOL)
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        fcntl.ioctl(device, _RNDRESEEDCRNG)
