"""Connections that ended by a timer.

For every timer, tcp_write_err() (net/ipv4/tcp_timer.c) closes the socket, reports ETIMEDOUT to its program and
counts TCPAbortOnTimeout. That a timer was due or that the peer was silent is no evidence by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import ICMP_ERRORS, FoundCause
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import SECOND

if TYPE_CHECKING:
    from handshake_lab.reconcile.causes.context import TransitionContext

_RETRANSMISSION = sentence("retransmission_timer")
_TIMERS = {
    "keepalive": sentence("keepalive_timer"),
    "persist": sentence("persist_timer"),
    "timewait": sentence("fin_wait_2_timer"),
}


def reported(context: TransitionContext) -> FoundCause | None:
    """The kernel reported ETIMEDOUT to the program; the last poll shows which timer was running.

    If an ICMP error was received before that did not end the connection, its error is reported instead (sk_err_soft).
    """
    soft = context.error in ICMP_ERRORS and context.icmp() is None and bool(context.grown("TCPAbortOnTimeout"))
    if context.error != "ETIMEDOUT" and not soft:
        return None
    if context.reset_reason == "TCP_KEEPALIVE_TIMEOUT":
        return _found(context, "keepalive")
    polls = [poll for poll in context.observed.polls if poll.t < context.draft.time and not poll.gone]
    return _found(context, getattr(polls[-1].seen, "timer", "") if polls else "")


def announced(context: TransitionContext) -> FoundCause | None:
    """The timer that was running in the last poll before, if the time fits."""
    polls = [poll for poll in context.observed.polls if poll.t < context.draft.time and poll.due is not None]
    if not polls or polls[-1].due is None or not context.due(polls[-1].due, polls[-1].due - polls[-1].t):
        return None
    name = getattr(polls[-1].seen, "timer", "on")
    # FIN-WAIT-2 of an orphan ends without being counted: by a mini-socket's timer or, above 60 s, the keepalive timer.
    uncounted = name == "timewait" or (name == "keepalive" and context.draft.old is State.FIN_WAIT_2)
    return _found(context, name) if uncounted or _possible(context) else None


def given_up(context: TransitionContext) -> FoundCause | None:
    """The peer was silent: retransmissions or probes were not answered."""
    unanswered = context.silence()
    again = [leg for leg in unanswered if leg.segment.retransmits is not None]
    probes = [leg for leg in unanswered if not leg.segment.length and leg.segment.flags == "A"]
    if context.index.leaky or not unanswered or context.draft.earliest - unanswered[-1].t < SECOND // 5:
        return None
    if not _possible(context):
        return None
    if again:
        return _found(context, "on")
    if len(probes) > 1 and context.marked(Mark.RST_SENT):
        return _found(context, "keepalive")
    return None


def returned(context: TransitionContext) -> FoundCause | None:
    """A call on the socket returned ETIMEDOUT."""
    return _found(context, "on") if context.failed_with("ETIMEDOUT") else None


def waited(context: TransitionContext) -> FoundCause | None:
    """In SYN-SENT, long enough for a timer, and the host's counter shows that one expired."""
    return _found(context, "on") if context.waited() and _possible(context) else None


def _possible(context: TransitionContext) -> bool:
    """Whether a timer can be the cause: timers run in interrupts, report an error to the program, and are counted."""
    if context.in_task or (context.error is not None and context.held):
        return False
    return context.grown("TCPAbortOnTimeout") != 0


def _found(context: TransitionContext, name: str) -> FoundCause:
    why = Trigger.EXPIRED if name == "timewait" else Trigger.TIMER
    return FoundCause(why, Cause("timer", _TIMERS.get(name, _RETRANSMISSION)), context.marked(Mark.RST_SENT))
