"""The settings of an exploration: kinds and number of faults, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.explore.properties import DEFAULT, PROPERTIES
from handshake_lab.plan import units
from handshake_lab.plan.nearest_name import hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.plan.schedule import SegmentPoint

#: The property that programs hold no more sockets at the end of a run than without faults.
DESCRIPTORS = "descriptors"

#: The faults on a segment that are tried, the simplest first.
ACTIONS: dict[str, str] = {
    "drop": "drop",
    "duplicate": "duplicate",
    "delay": "delay 1s",
    "reorder": "reorder",
    "reset": "reset",
    "cut": "cut 10s",
    "stop": "stop 10s",
    "kill": "kill",
    "restart": "restart",
}
#: Those that are done to the servers of a segment's receiver: they are tried where one runs.
_OF_SERVERS = ("stop", "kill", "restart")
_EXAMPLE = "faults=2 of=drop,delay runs=500 budget=60s workers=2"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an exploration.

    Attributes:
        faults: The maximum number of faults in one run.
        of: Kinds of faults, of `ACTIONS`.
        runs: The maximum number of runs; 0: no limit.
        budget: Seconds of wall time after which no more runs are started; 0: no limit.
        findings: End after this number of findings; 0 for no limit.
        shuffle: Try schedules in a random order, which this number determines; 0: those of earlier segments first.
        properties: The properties that every run must have: names of `handshake_lab.explore.properties.PROPERTIES`,
            and "descriptors".
        equivalent: "cut": of places in runs that are equivalent, only one is continued; "run": all are.
        workers: The number of processes that run schedules.
        on: The scheduler of a Dask cluster whose workers run them instead: "tls://scheduler:8786".
    """

    faults: int = 1
    of: tuple[str, ...] = ("drop",)
    runs: int = 0
    budget: float = 0.0
    findings: int = 0
    shuffle: int = 0
    properties: tuple[str, ...] = DEFAULT
    equivalent: str = "cut"
    workers: int = 1
    on: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``faults=2 of=drop,delay``.

        Raises:
            UsageError: A word is unknown, or its value is invalid; or ``workers`` and ``on`` are given.
        """
        values: dict[str, object] = {}
        for word in text.split():
            name, _, value = word.partition("=")
            field = f"explore {name}"
            if name in ("faults", "runs", "findings", "shuffle", "workers"):
                values[name] = units.count(field, value, _EXAMPLE)
            elif name == "budget":
                values[name] = units.duration(field, value, "budget=60s") / 1e9
            elif name == "on":
                values[name] = value
            elif name == "of":
                values[name] = tuple(kind for kind in ACTIONS if kind in _listed(field, value, ACTIONS))
            elif name == "equivalent":
                (values[name],) = _listed(field, value, ("cut", "run"))[:1]
            elif name == "properties":
                values[name] = () if value == "none" else _listed(field, value, (*PROPERTIES, DESCRIPTORS))
            else:
                known = cls.__struct_fields__
                raise UsageError("explore", word, f"is not a setting; {hint(name, known)}", _EXAMPLE)
        parsed = cls(**values)  # type: ignore[arg-type]
        if parsed.on and parsed.workers > 1:
            reason = "has no effect on a cluster, whose workers are all used"
            raise UsageError("explore workers", parsed.workers, reason, f"on={parsed.on}")
        return parsed

    @property
    def of_one_run(self) -> tuple[str, ...]:
        """The properties that are checked without other runs."""
        return tuple(name for name in self.properties if name != DESCRIPTORS)

    def kinds_at(self, point: SegmentPoint) -> list[str]:
        """The kinds of faults that can be done at a segment."""
        return [kind for kind in self.of if point.serves or kind not in _OF_SERVERS]

    def __str__(self) -> str:
        words = [f"faults={self.faults}", f"of={','.join(self.of)}"]
        words += [f"runs={self.runs}"] if self.runs else []
        words += [f"budget={units.show_duration(int(self.budget * 1e9))}"] if self.budget else []
        words += [f"findings={self.findings}"] if self.findings else []
        words += [f"shuffle={self.shuffle}"] if self.shuffle else []
        words += [f"properties={','.join(self.properties) or 'none'}"] if self.properties != DEFAULT else []
        words += [f"equivalent={self.equivalent}"] if self.equivalent != "cut" else []
        words += [f"workers={self.workers}"] if self.workers > 1 else []
        words += [f"on={self.on}"] if self.on else []
        return " ".join(words)


def _listed(field: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Names, separated by commas."""
    names = tuple(word.strip() for word in text.split(","))
    for name in names:
        if name not in known:
            raise UsageError(field, name, f"is unknown; {hint(name, known)}", _EXAMPLE)
    return names
