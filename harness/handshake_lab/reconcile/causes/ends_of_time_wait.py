"""How TIME-WAIT ends, except by a RST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import FoundCause, number_of, received
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.timers import TIME_WAIT

if TYPE_CHECKING:
    from handshake_lab.reconcile.causes.context import TransitionContext


def taken_over(context: TransitionContext) -> FoundCause | None:
    """A new connection with the same addresses replaced it."""
    after = context.after
    if after is None or not context.near(after.t) or "S" not in after.segment.flags:
        # Its SYN may not have left the host: a filter dropped it, or there is no route (tcp_v4_connect()).
        since = context.drafts[context.place - 1].time if context.place else context.observed.start
        if any(t > since and context.near(t) for t in context.run.opened(context.observed)):
            return FoundCause(Trigger.REUSE, Cause("call", sentence("connect_same_addresses")))
        return None
    if after.outgoing:
        return FoundCause(Trigger.REUSE, Cause("call", sentence("connect_same_addresses"), number_of(after)), after)
    return FoundCause(Trigger.NEW_SYN, received(after), after)


def over(context: TransitionContext) -> FoundCause | None:
    """Its timer: 60 seconds after it began, or after the last segment that restarted it."""
    began = context.drafts[context.place - 1].time if context.place else context.observed.start
    armed = [began, *(leg.t for leg in context.index.legs if not leg.outgoing and began <= leg.t < context.draft.time)]
    if any(context.due(at + TIME_WAIT, TIME_WAIT) for at in armed):
        return FoundCause(Trigger.TIMER, Cause("timer", sentence("time_wait_timer")))
    return None
