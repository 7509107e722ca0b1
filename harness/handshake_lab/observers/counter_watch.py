"""Watches the counters of one node that show why a segment had no effect, and reports their growth as it happens.

At the end of a run a counter shows how often something happened; only its growth at a known time shows to which
segment it happened.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from handshake_lab.linux.tcp_counters import NETSTAT, TcpExtReader
from handshake_lab.recording.observations import CounterGrowth

if TYPE_CHECKING:
    from handshake_lab.observers.clock import Clock

#: What the kernel counts when it refuses a segment, or answers it without keeping any state (net/ipv4/proc.c).
TELLING = (
    "ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "SyncookiesSent", "SyncookiesFailed",
    "TCPChallengeACK", "TCPSYNChallenge", "TCPACKSkippedChallenge", "TCPACKSkippedSynRecv", "TCPACKSkippedPAWS",
    "TCPACKSkippedSeq", "TCPDeferAcceptDrop", "PAWSEstab", "OutOfWindowIcmps", "LockDroppedIcmps",
)  # fmt: skip
#: A node is read again after this many times the duration of the last reading: at most 5 % of a processor. On the lab
#: kernel, where computation takes no virtual time, that is at once.
_REST = 20


class CounterWatch:
    """The telling counters of one node.

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
        self._since = clock.now()
        self.due: int | None = None  #: when it is to be read next; None if nothing asks for it
        self._earliest = 0

    def ask(self) -> None:
        """Have it read as soon as possible: something happened that may be counted."""
        if self.due is None:
            self.due = self._earliest

    def growth(self) -> CounterGrowth | None:
        """Read them: what has grown since the last reading, if anything has."""
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
