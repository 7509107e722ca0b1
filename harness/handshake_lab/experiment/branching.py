"""Branching: a run continues in several ways, from a segment or a line of its script (docs/how-to/branching.md).

The machine is parked when the segment is about to be delivered, or when the script arrives there, and forked for each
decision. Each fork has all processes, threads and segments in flight, and its own directory for results, which contains
the record up to the branch point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.branch_point import fork_here, skip_fork
from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.job import BranchPoint
from handshake_lab.plan.fault import Fault
from handshake_lab.recording import branches
from handshake_lab.recording.branches import BranchStep
from handshake_lab.recording.run_files import BRANCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from handshake_lab.network.faults.middlebox import WatchedSegment

#: The possible decisions about a segment at a branch point, besides its delivery.
_ACTIONS = ("drop", "delay", "duplicate", "corrupt")
_EXAMPLE = 'net.branches(at="SYN-ACK nth=1", of=("deliver", "drop", "delay 300ms"))'


@dataclass(frozen=True, slots=True)
class BranchingRun:
    """What branching needs of a run.

    Attributes:
        steps: The decisions that this branch has taken so far.
        follow: Indexes of the decisions to take instead of branching; after them, the first one is taken.
        results: The directory with the run's results.
        moved: Called in a fork as soon as its own directory is mounted there.
        now: The run's clock, in nanoseconds.
    """

    steps: list[BranchStep]
    follow: list[int] | None
    results: Path
    moved: Callable[[], None]
    now: Callable[[], int]


class Branching:
    """Parks a run, and continues it in a fork for each decision.

    Args:
        run: The run.
        at: The segments at which it branches, as in a fault; "" where its script does.
        of: The possible decisions.
        deviations: How often one branch may take another decision than the first of ``of``; None: no limit.

    Raises:
        UsageError: ``of`` is invalid.
        EnvironmentUnsupported: This run cannot branch.
    """

    def __init__(self, run: BranchingRun, at: str, of: Sequence[str], deviations: int | None = None) -> None:
        self.decisions: list[str] = []  #: the decisions that this branch has taken here so far
        self._run = run
        self._at = at
        self._of = tuple(of)
        self._deviations = deviations
        if len(self._of) < 2:
            raise UsageError("branches of", of, "needs at least two decisions", _EXAMPLE)
        if run.follow is None and not job_runner.current.get("branches"):
            raise EnvironmentUnsupported(
                "this run cannot branch: its kernel was booted for this run only, or cannot be forked",
                "Use a lab kernel that forks (handshake kernel list), without --handshake-fresh-boot.",
            )

    def take(self, number: int) -> int:
        """The index of the decision at a branch point. Returns once in each branch.

        Args:
            number: Of the branch point among those of this kind, from 1.
        """
        if self._deviations == 0:
            return 0
        index = self._branch(number)
        if index and self._deviations is not None:
            self._deviations -= 1
        self.decisions.append(self._of[index])
        self._run.steps.append(BranchStep(self._run.now(), self._at, number, self._of[index]))
        (self._run.results / BRANCH).write_bytes(branches.encode(self._run.steps))
        return index

    def _branch(self, number: int) -> int:
        """Park; returns in each fork, with the index of its decision.

        A run that follows given decisions takes the same steps without parking, because each step takes a little
        virtual time.
        """
        point = BranchPoint(f"{self._at or 'the script'} (number {number})", self._of)
        if self._run.follow is None:
            return int(fork_here(point, self._run.moved))
        skip_fork(point, self._run.moved)
        return self._run.follow.pop(0) if self._run.follow else 0


class SegmentBranching(Branching):
    """Decides what happens to the segments at which a run branches.

    Args:
        run: The run.
        at: Which segments, as in a fault: "SYN-ACK nth=1", "any from h1".
        of: The possible decisions about each: "deliver", "drop", "delay 300ms", "duplicate", "corrupt", "reset".
        deviations: How often one branch may take another decision than the first of ``of``; None: no limit.

    Raises:
        UsageError: ``at`` or ``of`` is invalid.
        EnvironmentUnsupported: This run cannot branch.
    """

    def __init__(self, run: BranchingRun, at: str, of: Sequence[str], deviations: int | None) -> None:
        self.watched = Fault.parse(f"drop {at}", field="branches at")
        self._faults = [self._parse(text) for text in of]
        super().__init__(run, at, of, deviations)

    def _parse(self, text: str) -> Fault | None:
        action, _, how = text.partition(" ")
        if text == "deliver":
            return None
        if text == "reset":  # to whom, is known at the segment
            return Fault.parse(f"inject RST to h1 on {self.watched.kind}", field="branches of")
        if action not in _ACTIONS:
            raise UsageError("branches of", text, "is not a decision", _EXAMPLE)
        return Fault.parse(f"{action} {self.watched.kind} {how}", field="branches of")

    def decide(self, segment: WatchedSegment) -> Fault | None:
        """The decision about one of the watched segments. Returns once in each branch."""
        fault = self._faults[self.take(segment.number)]
        if fault is None:
            return None
        nth, watched = (segment.number,), self.watched
        if fault.action == "inject":
            return msgspec.structs.replace(fault, nth=nth, receiver=segment.receiver)
        return msgspec.structs.replace(
            fault, nth=nth, sender=watched.sender, receiver=watched.receiver, port=watched.port
        )
