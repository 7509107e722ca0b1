"""What programs' use of the machine costs in a lab kernel's virtual time, where computing costs nothing."""

from __future__ import annotations

from typing import Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan.units import duration

_EXAMPLE = "syscall=1us,clock=1us,tsc=100ns"
#: The most that one of them may cost, in nanoseconds.
_LARGEST = 1_000_000_000


class Cost(msgspec.Struct, frozen=True):
    """Nanoseconds of virtual time for a system call, a reading of a clock, and one of the time-stamp counter.

    All 0: a reading of a clock takes 256 ns, a system call that fails 1 us, others nothing, unless a program makes
    10,000 of them while no time passes. These are the times of a kernel's own tests.
    """

    syscall: int = 0
    clock: int = 0
    tsc: int = 0

    @classmethod
    def parse(cls, text: str, field: str = "--cost") -> Self:
        """Costs as on the command line: ``syscall=1us,clock=1us,tsc=100ns``, in any order, or ``none``.

        What is not named costs nothing.

        Raises:
            UsageError: A name is unknown or given twice, or a value is not a duration of at most a second.
        """
        found: dict[str, int] = {}
        for item in text.split(",") if text != "none" else ():
            name, equals, value = item.strip().partition("=")
            if not equals or name not in cls.__struct_fields__:
                raise UsageError(field, text, f"does not name a cost ({', '.join(cls.__struct_fields__)})", _EXAMPLE)
            if name in found:
                raise UsageError(field, text, f"names {name} twice", _EXAMPLE)
            found[name] = duration(field, value, _EXAMPLE)
            if found[name] > _LARGEST:
                raise UsageError(field, text, f"{name} is longer than a second", _EXAMPLE)
        return cls(**found)


#: Unless a cost is given.
NO_COST = Cost()


def parse_cost(text: str | None, field: str = "--cost") -> Cost | None:
    """The value of an option; None if it is not given.

    Raises:
        UsageError: As for `Cost.parse`.
    """
    return None if text is None else Cost.parse(text, field)
