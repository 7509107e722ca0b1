"""Connections that a timer ended: it came to its end without an answer.

Whatever timer it is, tcp_write_err() (net/ipv4/tcp_timer.c) closes the socket, reports ETIMEDOUT to its program and
counts TCPAbortOnTimeout. That a timer was due, or that nothing had been heard, is no evidence by itself.
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
    """The kernel reported to the program that time was up: which timer it was, the last look shows.

    What an ICMP error had reported before, without ending anything, is reported in its place (sk_err_soft).
    """
    soft = context.error in ICMP_ERRORS and context.icmp() is None and bool(context.grown("TCPAbortOnTimeout"))
    if context.error != "ETIMEDOUT" and not soft:
        return None
    if context.reset_reason == "TCP_KEEPALIVE_TIMEOUT":
        return _found(context, "keepalive")
    polls = [poll for poll in context.observed.polls if poll.t < context.draft.time and not poll.gone]
    return _found(context, getattr(polls[-1].seen, "timer", "") if polls else "")


def announced(context: TransitionContext) -> FoundCause | None:
    """The timer that the last look before announced, if the time is right."""
    polls = [poll for poll in context.observed.polls if poll.t < context.draft.time and poll.due is not None]
    if not polls or polls[-1].due is None or not context.due(polls[-1].due, polls[-1].due - polls[-1].t):
        return None
    name = getattr(polls[-1].seen, "timer", "on")
    # An orphan's FIN-WAIT-2 ends uncounted, by a mini-socket's timer or, beyond 60 s, by the keepalive timer.
    uncounted = name == "timewait" or (name == "keepalive" and context.draft.old is State.FIN_WAIT_2)
    return _found(context, name) if uncounted or _possible(context) else None


def given_up(context: TransitionContext) -> FoundCause | None:
    """The other was silent: what was sent, again and again, got no answer."""
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
    """A call on the socket returned that time was up."""
    return _found(context, "on") if context.failed_with("ETIMEDOUT") else None


def waited(context: TransitionContext) -> FoundCause | None:
    """In SYN-SENT, so long that a timer may have come to its end, and the host counts that one did."""
    return _found(context, "on") if context.waited() and _possible(context) else None


def _possible(context: TransitionContext) -> bool:
    """Whether a timer can have ended it: timers run in an interrupt, report to a program, and are counted."""
    if context.in_task or (context.error is not None and context.held):
        return False
    return context.grown("TCPAbortOnTimeout") != 0


def _found(context: TransitionContext, name: str) -> FoundCause:
    why = Trigger.EXPIRED if name == "timewait" else Trigger.TIMER
    return FoundCause(why, Cause("timer", _TIMERS.get(name, _RETRANSMISSION)), context.marked(Mark.RST_SENT))
