"""The virtual machine of a lab kernel: its memory, and its wall clock at boot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

import msgspec

from handshake_lab.errors import UsageError

#: MiB: with less, a network, its observers and a program do not fit; more than this is no test any more.
LEAST_MEMORY, MOST_MEMORY = 128, 1 << 20
#: Virtual wall clock at boot: 2026-01-01 00:00:00 UTC, in seconds since the epoch.
CLOCK_START = 1_767_225_600
#: The clock is 64 bits of nanoseconds since the epoch, and is not moved before the epoch.
_YEARS = range(1970, 2262)
_EXAMPLE = "2026-11-27T12:00:00"


class LabMachine(msgspec.Struct, frozen=True):
    """What a lab kernel boots with. Runs with the same seed and the same machine are the same.

    ``memory`` is in MiB; ``clock_start`` is the wall clock at boot, in seconds since the epoch.
    """

    memory: int = 512
    clock_start: int = CLOCK_START

    @classmethod
    def of(cls, memory: int | None = None, clock_start: str | None = None) -> Self:
        """A machine from the values of options; None means the default.

        Args:
            memory: MiB.
            clock_start: A date or a time of ISO 8601, UTC unless it names another zone: ``2026-11-27``.

        Raises:
            UsageError: A value is invalid.
        """
        changed = {}
        if memory is not None:
            if not LEAST_MEMORY <= memory <= MOST_MEMORY:
                raise UsageError("--memory", memory, f"is not a number of MiB from {LEAST_MEMORY} on", "--memory 1024")
            changed["memory"] = memory
        if clock_start is not None:
            changed["clock_start"] = _clock(clock_start)
        return cls(**changed)


#: What a lab kernel boots with unless something else is chosen.
USUAL = LabMachine()


def _clock(text: str) -> int:
    field = "--clock-start"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(field, text, "is not a date or a time of ISO 8601", f"{field} {_EXAMPLE}") from None
    if moment.year not in _YEARS:
        raise UsageError(field, text, f"is not between {_YEARS[0]} and {_YEARS[-1]}", f"{field} {_EXAMPLE}")
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
