"""Branching: a run continues in each of several ways from a segment (docs/branching.md).

The machine is parked when the segment is about to be delivered, and forked for each decision. Each fork has all
processes, threads and segments in flight, and its own directory for results, which contains the record up to the branch
point.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.branch_point import fork_here, skip_fork
from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.job import BranchPoint
from handshake_lab.plan.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from handshake_lab.network.faults.middlebox import WatchedSegment

#: The file beside a branch's record that lists its branch points and decisions.
BRANCH = "branch.json"
#: The possible decisions about a segment at a branch point, besides its delivery.
_ACTIONS = ("drop", "delay", "duplicate", "corrupt")
_EXAMPLE = 'net.branches(at="SYN-ACK nth=1", of=("deliver", "drop", "delay 300ms"))'


class Branching:
    """Decides what happens to the segments at which a run branches.

    Args:
        at: Which segments, as in a fault: "SYN-ACK nth=1", "any from h1".
        of: The possible decisions about each: "deliver", "drop", "delay 300ms", "duplicate", "corrupt", "reset".
        deviations: How often one branch may take another decision than the first of ``of``; None: no limit.
        follow: Indexes of the decisions to take instead of branching; after them, the first of ``of`` is taken.
        results: The directory with the run's results.
        moved: Called in a fork as soon as its own directory is mounted there.
        now: The run's clock, in nanoseconds.

    Raises:
        UsageError: ``at`` or ``of`` is invalid.
        EnvironmentUnsupported: This run cannot branch.
    """

    def __init__(
        self,
        at: str,
        of: Sequence[str],
        deviations: int | None,
        *,
        follow: list[int] | None,
        results: Path,
        moved: Callable[[], None],
        now: Callable[[], int],
    ) -> None:
        self.watched = Fault.parse(f"drop {at}", field="branches at")
        self.decisions: list[str] = []  #: the decisions that this branch has taken so far
        self._left: list[dict[str, object]] = []
        self._at = at
        self._of = tuple(of)
        self._faults = [self._parse(text) for text in self._of]
        self._deviations = deviations
        self._follow = follow
        self._results = results
        self._moved = moved
        self._now = now
        if len(self._of) < 2:
            raise UsageError("branches of", of, "needs at least two decisions", _EXAMPLE)
        if follow is None and not job_runner.current.get("branches"):
            raise EnvironmentUnsupported(
                "this run cannot branch: its kernel was booted for this run only, or cannot be forked",
                "Use a lab kernel that forks (handshake kernel list), without --handshake-fresh-boot.",
            )

    def _parse(self, text: str) -> Fault | None:
        action, _, how = text.partition(" ")
        if text == "deliver":
            return None
        if text == "reset":  # to whom, is known at the segment
            return Fault.parse(f"inject RST to h1 on {self.watched.kind}", field="branches of")
        if action not in _ACTIONS:
            raise UsageError("branches of", text, "is not a decision", _EXAMPLE)
        return Fault.parse(f"{action} {self.watched.kind} {how}", field="branches of")

    def decide(self, watched: WatchedSegment) -> Fault | None:
        """The decision about one of the watched segments. Returns once in each branch."""
        number = watched.number
        if self._deviations == 0:
            return self._made(self._faults[0], watched)
        index = self._branch(number)
        if index and self._deviations is not None:
            self._deviations -= 1
        self.decisions.append(self._of[index])
        self._left.append({"t": self._now(), "at": self._at, "number": number, "decision": self._of[index]})
        (self._results / BRANCH).write_text(json.dumps(self._left, indent=1) + "\n")
        return self._made(self._faults[index], watched)

    def _made(self, fault: Fault | None, segment: WatchedSegment) -> Fault | None:
        """The fault for one segment."""
        if fault is None:
            return None
        nth, watched = (segment.number,), self.watched
        if fault.action == "inject":
            return msgspec.structs.replace(fault, nth=nth, receiver=segment.receiver)
        return msgspec.structs.replace(
            fault, nth=nth, sender=watched.sender, receiver=watched.receiver, port=watched.port
        )

    def _branch(self, number: int) -> int:
        """Park; returns in each fork, with the index of its decision.

        A run that follows given decisions takes the same steps without parking, because each step takes a little
        virtual time.
        """
        point = BranchPoint(f"{self._at} (number {number})", self._of)
        if self._follow is None:
            return int(fork_here(point, self._moved))
        skip_fork(point, self._moved)
        return self._follow.pop(0) if self._follow else 0
