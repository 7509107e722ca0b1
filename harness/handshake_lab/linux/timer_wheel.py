"""When a timer of the lab kernel can fire: its timer wheel, kernel/time/timer.c (calc_wheel_index()).

The wheel has levels. A timer of up to 63 jiffies fires at the first jiffy after its expiry; each further level is for
timers up to eight times as long, and its timers fire when the count of jiffies is a multiple of 8, 64, 512 and so on.
"""

from __future__ import annotations

#: The lab kernel's jiffy in nanoseconds: it is built with HZ=250.
JIFFY = 4_000_000
#: The count of jiffies when CLOCK_MONOTONIC is 0: INITIAL_JIFFIES, include/linux/jiffies.h.
_INITIAL = -300 * 250
#: LVL_CLK_SHIFT and LVL_SIZE: each level is that much coarser, and has slots for that many of its units.
_SHIFT, _SIZE, _LEVELS = 3, 64, 9


def unit(length: int) -> int:
    """The number of jiffies of which a timer's firing is a multiple, for a timer of at least ``length`` nanoseconds."""
    jiffies = length // JIFFY
    level = 0
    while level + 1 < _LEVELS and jiffies >= (_SIZE - 1) << (level * _SHIFT):
        level += 1
    return 1 << (level * _SHIFT)


def first_chance(expires: int, length: int) -> int:
    """The first time at which a timer can fire.

    Args:
        expires: When it expires, in nanoseconds of CLOCK_MONOTONIC.
        length: How long it runs at least, in nanoseconds.

    Returns:
        A time in nanoseconds of CLOCK_MONOTONIC. The timer fires then, or by multiples of its `unit` later if it runs
        for longer than ``length``.
    """
    step = unit(length)
    slot = (expires // JIFFY + _INITIAL) // step + 1
    return (slot * step - _INITIAL) * JIFFY
