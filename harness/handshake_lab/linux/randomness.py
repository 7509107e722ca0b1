"""Makes the kernel's random numbers depend on a seed only."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct

#: include/uapi/linux/random.h: _IOW('R', 0x03, int[2]), _IO('R', 0x06), _IO('R', 0x07).
_RNDADDENTROPY, _RNDCLEARPOOL, _RNDRESEEDCRNG = 0x40085203, 0x5206, 0x5207


def seed_randomness(seed: int, purpose: str = "") -> bytes:
    """Reset the lab kernel's random number generator, and initialise it with a seed.

    Args:
        seed: The seed of the run.
        purpose: The use of the numbers: different purposes get different numbers for the same seed.

    Returns:
        The bytes with which the generator was initialised.

    Raises:
        OSError: This process may not seed the kernel (EPERM).
    """
    start = hashlib.sha512(b"handshake lab, seed %d%s" % (seed, purpose.encode())).digest()
    entropy = struct.pack(f"ii{len(start)}s", 8 * len(start), len(start), start)
    device = os.open("/dev/random", os.O_WRONLY | os.O_CLOEXEC)
    try:
        # Linux 6.1 may not have 256 bits of entropy yet (POOL_READY_BITS, drivers/char/random.c). It draws once when
        # it has them, which would make a difference later.
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        # The lab kernel's RNDCLEARPOOL empties the pool (see kernel/lab/build/configuration.py), which then contains
        # only the bytes that are added here.
        fcntl.ioctl(device, _RNDCLEARPOOL)
        fcntl.ioctl(device, _RNDADDENTROPY, entropy)
        fcntl.ioctl(device, _RNDRESEEDCRNG)
    finally:
        os.close(device)
    return start
