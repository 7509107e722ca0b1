"""The settings of an exploration: kinds and number of faults, limits."""

from __future__ import annotations

from typing import Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.nearest_name import hint

#: The faults on a segment that are tried, the simplest first.
ACTIONS: dict[str, str] = {
    "drop": "drop",
    "duplicate": "duplicate",
    "delay": "delay 1s",
    "reorder": "reorder",
    "reset": "reset",
    "cut": "cut 10s",
}
_EXAMPLE = "faults=2 of=drop,delay runs=500 budget=60s workers=2"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an exploration.

    Attributes:
        faults: The maximum number of faults in one run.
        of: Kinds of faults, of `ACTIONS`.
        runs: The maximum number of runs; 0: no limit.
        budget: Seconds of wall time after which no more runs are started; 0: no limit.
        workers: The number of processes that run schedules.
    """

    faults: int = 1
    of: tuple[str, ...] = ("drop",)
    runs: int = 0
    budget: float = 0.0
    workers: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``faults=2 of=drop,delay``.

        Raises:
            UsageError: A word is unknown, or its value is invalid.
        """
        values: dict[str, object] = {}
        for word in text.split():
            name, _, value = word.partition("=")
            field = f"explore {name}"
            if name in ("faults", "runs", "workers"):
                values[name] = units.count(field, value, _EXAMPLE)
            elif name == "budget":
                values[name] = units.duration(field, value, "budget=60s") / 1e9
            elif name == "of":
                values[name] = kinds(field, value)
            else:
                known = cls.__struct_fields__
                raise UsageError("explore", word, f"is not a setting; {hint(name, known)}", _EXAMPLE)
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        words = [f"faults={self.faults}", f"of={','.join(self.of)}"]
        words += [f"runs={self.runs}"] if self.runs else []
        words += [f"budget={units.show_duration(int(self.budget * 1e9))}"] if self.budget else []
        words += [f"workers={self.workers}"] if self.workers > 1 else []
        return " ".join(words)


def kinds(field: str, text: str) -> tuple[str, ...]:
    """Kinds of faults, separated by commas, in the order in which they are tried.

    Raises:
        UsageError: A kind is unknown.
    """
    asked = [word.strip() for word in text.split(",")]
    for word in asked:
        if word not in ACTIONS:
            raise UsageError(field, word, f"is not a kind of fault; {hint(word, ACTIONS)}", "drop,delay,reset")
    return tuple(kind for kind in ACTIONS if kind in asked)
