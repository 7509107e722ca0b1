"""Reads the counters of one node that show why a segment had no effect, and reports each increase with its time.

The final value of a counter shows only how often an event happened; the time of an increase shows which segment it
belongs to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from handshake_lab.linux.tcp_counters import NETSTAT, TcpExtReader
from handshake_lab.recording.observations import CounterGrowth

if TYPE_CHECKING:
    from handshake_lab.observers.clock import Clock

#: The counters of segments that the kernel refused, or answered without keeping state (net/ipv4/proc.c).
TELLING = (
    "ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "SyncookiesSent", "SyncookiesFailed", "TCPChallengeACK",
    "TCPACKSkippedChallenge", "TCPACKSkippedSynRecv", "TCPDeferAcceptDrop", "PAWSEstab", "OutOfWindowIcmps",
    "LockDroppedIcmps",
)  # fmt: skip
#: The interval between two readings, as a multiple of the duration of the last reading: this uses at most 5 % of a
#: processor. On the lab kernel, where computation takes no virtual time, there is no interval.
_REST = 20


class CounterWatch:
    """The counters of one node that show why segments had no effect.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.
    """

    def __init__(self, node: str, clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._descriptor = os.open(NETSTAT, os.O_RDONLY | os.O_CLOEXEC)
        self._reader = TcpExtReader(self._descriptor, TELLING)
        self._last = self._reader.values()
        self._since = 0  # the recording begins after this
        self.due: int | None = None  #: when to read them next; None if no reading was requested
        self._earliest = 0

    def ask(self) -> None:
        """Request a reading as soon as possible, after an event that may be counted."""
        if self.due is None:
            self.due = self._earliest

    def growth(self) -> CounterGrowth | None:
        """Read the counters, and return their growth since the last reading; None if there is none."""
        began = self._clock.now()
        values = self._reader.values()
        since, self._since, self.due = self._since, self._clock.now(), None
        self._earliest = self._since + _REST * (self._since - began)
        before, self._last = self._last, values
        grown = {name: now - then for name, then, now in zip(TELLING, before, values, strict=True) if now > then}
        return CounterGrowth(t=self._since, since=since, node=self.node, grown=grown) if grown else None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
