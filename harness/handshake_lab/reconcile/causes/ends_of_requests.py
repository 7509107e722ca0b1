"""Requests that did not become connections: request sockets have no tracepoint, and no program holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import JIFFY, FoundCause, number_of, received
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import SECOND

if TYPE_CHECKING:
    from handshake_lab.reconcile.causes.context import TransitionContext

#: The counter of full accept queues (tcp_v4_syn_recv_sock(), net/ipv4/tcp_ipv4.c).
_OVERFLOWS = "ListenOverflows"


def reset(context: TransitionContext) -> FoundCause | None:
    """A received RST removed it."""
    leg = context.marked(Mark.RST_RECEIVED)
    if leg is None:
        return None
    context.draft.new = State.LISTEN
    return FoundCause(Trigger.RESET, received(leg, "reset"), leg)


def refused(context: TransitionContext) -> FoundCause | None:
    """The kernel answered a segment with a RST, and dropped the request."""
    answer = context.marked(Mark.RST_SENT)
    came = context.answered_by(answer) if answer else []
    if not came:
        return None
    for leg in reversed(came):
        if "S" in leg.segment.flags:
            context.draft.new = State.LISTEN
            return FoundCause(Trigger.NEW_SYN, received(leg), leg)
    leg = came[-1]
    if context.listener_stopped():
        return FoundCause(Trigger.LISTENER, Cause("segment", sentence("listener_gone"), number_of(leg)), leg)
    if context.grown(_OVERFLOWS) == 0:
        return None  # it was gone before the segment was received
    return FoundCause(Trigger.OVERFLOW, Cause("segment", sentence("accept_queue_full"), number_of(leg)), leg)


def orphaned(context: TransitionContext) -> FoundCause | None:
    """Its listener had been closed."""
    return (
        FoundCause(Trigger.LISTENER, Cause("call", sentence("listener_gone"))) if context.listener_stopped() else None
    )


def expired(context: TransitionContext) -> FoundCause | None:
    """Its timer expired, and there was no reset, which only a complete capture can show.

    After a single SYN-ACK this is ambiguous: the kernel may not retransmit it (tcp_synack_retries of 0), or the
    capture may be incomplete. Then the node's counters must show that no reset removed a request
    (EmbryonicRsts, tcp_check_req(), net/ipv4/tcp_minisocks.c).
    """
    sent = [leg.t for leg in context.index.legs if leg.outgoing and "S" in leg.segment.flags]
    near = [at for at in context.observed.lost_resets if context.draft.earliest - SECOND <= at <= context.draft.time]
    if not sent or context.index.leaky or context.observed.uncaptured or near:
        return None
    if len(sent) > 1:
        # Every wait of this timer is twice the previous one (reqsk_timer_handler()).
        over = context.draft.earliest - sent[-1] > 1.8 * (sent[-1] - sent[-2])
    else:
        due = context.observed.polls[-2].due if len(context.observed.polls) > 1 else None
        unharmed = context.grown("EmbryonicRsts") == 0
        over = unharmed and due is not None and context.draft.earliest >= due - JIFFY
    return FoundCause(Trigger.EXPIRED, Cause("timer", sentence("syn_ack_timer"))) if over else None


def unreachable_at_once(context: TransitionContext) -> FoundCause | None:
    """An ICMP error that arrived when the request was removed; later segments, such as the ACK, find no connection."""
    leg = context.icmp()
    return FoundCause(Trigger.ICMP, received(leg), leg) if leg and context.grown("ListenDrops") != 0 else None


def unreachable(context: TransitionContext) -> FoundCause | None:
    """An ICMP error, which counts as a drop although no queue was full (tcp_req_err(), net/ipv4/tcp_ipv4.c)."""
    if not context.grown("ListenDrops") or context.grown(_OVERFLOWS):
        return None
    return FoundCause(Trigger.ICMP, Cause("segment", sentence("icmp_error")))
