"""The end of TIME-WAIT, which the tracepoint does not report: it has no full socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import LATENESS_DIVISOR, TIME_WAIT

if TYPE_CHECKING:
    from handshake_lab.reconcile.segments.segment_index import SegmentIndex

#: The largest delay of the end of TIME-WAIT: that of its timer and two jiffies of the slowest clock. Nanoseconds.
ALLOWED_LATENESS = TIME_WAIT // LATENESS_DIVISOR + 20_000_000


def due(index: SegmentIndex, entered: int) -> int:
    """When the timer expires: each segment that arrives restarts it.

    Args:
        index: The socket's segments.
        entered: When TIME-WAIT began.
    """
    return max([entered, *(leg.t for leg in index.legs if not leg.outgoing)]) + TIME_WAIT


def expiry(expires: int, end: int) -> TransitionDraft | None:
    """The end of TIME-WAIT by its timer, which is not observed; any other end would be visible in the segments.

    Args:
        expires: When the timer expires.
        end: When the recording ended.

    Returns:
        None if the timer may have been late: then it is not certain that TIME-WAIT ended.
    """
    if end <= expires + ALLOWED_LATENESS:
        return None
    return TransitionDraft(State.TIME_WAIT, State.CLOSED, expires + ALLOWED_LATENESS, expires, set())
