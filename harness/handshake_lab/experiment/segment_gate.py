"""A gate in the middle of the network: while it is closed, every segment waits there until its fate is decided."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from handshake_lab.experiment.segment_points import SegmentPoints, as_fault
from handshake_lab.experiment.under_way import SegmentInMiddle, Undecided
from handshake_lab.plan import units
from handshake_lab.plan.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.network.network import Network


class SegmentGate:
    """Decides about each segment. While one waits, later ones queue up behind it.

    Args:
        network: The network.
        now: The run's clock, in nanoseconds.

    Attributes:
        changed: Notified when a segment begins to wait; others may notify it, to wake up those who wait for both.
        waiting: The segment that waits; None if none does.
    """

    #: The segments about which it decides. A run without segments is not an error.
    watched = Fault.parse("drop any optional")

    def __init__(self, network: Network, now: Callable[[], int]) -> None:
        self.changed = threading.Condition()
        self.waiting: SegmentInMiddle | None = None
        self._network = network
        self._now = now
        self._dropped: list[SegmentInMiddle] = []
        self._delayed: list[tuple[int, SegmentInMiddle]] = []
        self._points = SegmentPoints(network, now)
        self._fate: str | None = None
        self._open = False

    def decide(self, watched: WatchedSegment) -> Fault | None:
        """The fault to apply to a segment; None delivers it. Called by the middlebox, which waits until it returns."""
        point = self._points.describe(watched)
        segment = watched.segment
        here = SegmentInMiddle(
            point.sender,
            point.receiver,
            segment.src,
            segment.dst,
            segment.flags,
            segment.seq,
            segment.ack,
            segment.length,
        )
        if watched.lost:
            self._dropped.append(here)
            return None
        with self.changed:
            if not self._open:
                self.waiting = here
                self.changed.notify_all()
                self.changed.wait_for(lambda: self._fate is not None or self._open)
            fate, self._fate, self.waiting = self._fate, None, None
        action, _, how = (fate or "").partition(" ")
        if action == "drop":
            self._dropped.append(here)
        elif action == "delay":
            self._delayed.append((self._now() + units.duration("delay", how), here))
        return as_fault(fate, point) if fate else None

    def undecided(self) -> Undecided:
        """What is known of the segments that have not arrived."""
        now = self._now()
        self._delayed = [each for each in self._delayed if each[0] > now]
        delayed = tuple(each for _, each in self._delayed)
        return Undecided(self.waiting, tuple(self._dropped), delayed, self._network.in_flight())

    def settle(self, fate: str) -> None:
        """Decide about the waiting segment.

        Args:
            fate: One of `handshake_lab.plan.schedule.FATES`, with its duration; "" delivers it.
        """
        with self.changed:
            self.waiting, self._fate = None, fate
            self.changed.notify_all()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Within the block, the segment that waits and all others are delivered."""
        with self.changed:
            self._open, self.waiting = True, None
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self._open = False

    def wait(self, done: Callable[[], bool], limit: float) -> bool:
        """Wait until a segment waits here, or a condition holds, for at most some seconds of the kernel's time.

        Returns:
            Whether one of both came true.
        """
        with self.changed:
            return self.changed.wait_for(lambda: self.waiting is not None or done(), limit)

    def close(self) -> None:
        """Deliver the segment that waits and all others from now on."""
        with self.changed:
            self._open = True
            self.changed.notify_all()
