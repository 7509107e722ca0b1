"""Actions at given times of a run: a link is cut, mended or changed, or a fault becomes active.

    >>> str(TimedAction.parse("10s", "cut h1-s1 for 30s"))
    '10s cut h1-s1 for 30s'

Pure; `handshake_lab.experiment.timed_actions` executes actions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.checks import check_fault, check_running
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_text import ACTIONS
from handshake_lab.plan.link import LinkSpec
from handshake_lab.plan.nearest_name import hint
from handshake_lab.plan.placement import directions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.plan.network_plan import NetworkPlan

_EXAMPLE = '--at 10s "cut h1-s1 for 30s"'
_LASTS = re.compile(r"(?P<what>.*?)\s+for\s+(?P<time>\S+)(?P<optional>\s+optional)?", re.DOTALL)
_LINK = re.compile(r"(?P<one>[A-Za-z0-9_.]+)-(?P<other>[A-Za-z0-9_.]+)")
#: The grammar, for help texts and docs/how-to/faults.md.
GRAMMAR = """\
ACTION  = cut A-B [for TIME] | mend A-B | clear A-B   mend undoes a cut, clear removes impairments
        | set A-B:PROPERTIES [for TIME]            as --link; set A>B:loss=5% for one direction
        | FAULT [for TIME]                         as --fault"""


class TimedAction(msgspec.Struct, frozen=True):
    """An action and its time.

    Attributes:
        at: Nanoseconds since the run began.
        verb: "cut", "mend", "set", "clear" or "fault".
        ends: The nodes at the ends of a link; empty for a fault.
        change: ``set``: the properties of the link.
        fault: ``fault``: the fault.
        lasts: Nanoseconds until it is undone; 0: it is not undone.
    """

    at: int
    verb: str
    ends: tuple[str, str] | None = None
    change: LinkSpec | None = None
    fault: Fault | None = None
    lasts: int = 0

    @classmethod
    def parse(cls, when: object, what: object, *, field: str = "--at") -> Self:
        """Parse a time and an action: ``10s`` and ``cut h1-s1 for 30s``.

        Raises:
            UsageError: One of them is invalid.
        """
        at = units.duration(field, when, _EXAMPLE)
        if not isinstance(what, str) or not what.strip():
            raise UsageError(field, what, "does not describe an action", _EXAMPLE)
        text, lasts = what.strip(), 0
        if match := _LASTS.fullmatch(text):
            text = match["what"] + (match["optional"] or "")
            lasts = units.duration(f"{field} for", match["time"], _EXAMPLE)
            if not lasts:
                raise UsageError(f"{field} for", what, "is not longer than 0 s", _EXAMPLE)
        verb, _, rest = text.partition(" ")
        rest = rest.strip()
        if verb in ACTIONS:
            return cls(at, "fault", fault=Fault.parse(text, field=field), lasts=lasts)
        if verb == "set":
            change = LinkSpec.parse(rest, field=field)
            if not change.first:
                raise UsageError(field, what, "does not name a link", '--at 10s "set h1-s1:loss=100%"')
            return cls(at, verb, ends=(change.first, change.second), change=change, lasts=lasts)
        if verb not in ("cut", "mend", "clear"):
            known = ("cut", "mend", "set", "clear", *ACTIONS)
            raise UsageError(
                field, what, f"begins with {verb!r}, which is not an action; {hint(verb, known)}", _EXAMPLE
            )
        link = _LINK.fullmatch(rest)
        if link is None:
            raise UsageError(field, what, "does not name a link by its two nodes", _EXAMPLE)
        if lasts and verb != "cut":
            raise UsageError(field, what, f"has a duration, but {verb!r} cannot be undone", _EXAMPLE)
        return cls(at, verb, ends=(link["one"], link["other"]), lasts=lasts)

    def check(self, planned: NetworkPlan, field: str = "--at") -> None:
        """Check that the network has the link or the hosts of the action.

        Raises:
            UsageError: It does not have one of them.
        """
        if self.fault is not None:
            check_fault(planned, self.fault, field=field)
            check_running(self.fault, field=field)
        elif self.change is not None:
            directions(planned, self.change)
        elif self.ends is not None:
            directions(planned, LinkSpec.parse(f"{self.ends[0]}-{self.ends[1]}:"))

    @property
    def what(self) -> str:
        """The action, without its time."""
        if self.fault is not None:
            text = str(self.fault)
        elif self.change is not None:
            text = f"set {self.change}"
        else:
            text = f"{self.verb} {'-'.join(self.ends or ())}"
        return text + (f" for {units.show_duration(self.lasts)}" if self.lasts else "")

    def __str__(self) -> str:
        return f"{units.show_duration(self.at)} {self.what}"


def parse_timed(pairs: Iterable[tuple[str, str]], field: str = "--at") -> tuple[TimedAction, ...]:
    """The values of ``--at``, in the order of their times.

    Raises:
        UsageError: One is invalid.
    """
    return tuple(sorted((TimedAction.parse(when, what, field=field) for when, what in pairs), key=lambda each: each.at))
