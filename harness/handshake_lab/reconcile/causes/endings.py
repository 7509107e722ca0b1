"""Why a connection ended: the cause of every ``→CLOSED`` and ``→LISTEN``.

Each finder requires evidence of its cause: a received segment, a recorded system call, a transition that ran in task
context, a reported error, or a counter that grew. If no finder has any, the cause is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes import ends_by_call, ends_by_timer, ends_of_requests, ends_of_time_wait
from handshake_lab.reconcile.causes.context import ICMP_ERRORS, FoundCause, TransitionContext, number_of, received
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.reconcile.states.draft import UNKNOWN
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd

#: States in which a program owns the socket, or will own it: the kernel reports errors to that program.
_HELD = (State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT)
#: The error that a program gets when a RST ends its connection (tcp_reset(), net/ipv4/tcp_input.c).
_RESET_ERRORS = ("ECONNRESET", "ECONNREFUSED", "EPIPE")


def end(context: TransitionContext) -> None:
    """Find why a connection or a listener ended, and set the transition's cause."""
    for find in _finders(context):
        found = find(context)
        if found is not None:
            context.draft.why, context.draft.cause = found.why, found.cause
            if found.leg is not None:
                context.draft.leg = found.leg
                context.draft.witnesses.add(Witness.CAPTURE)
                if not found.leg.outgoing and found.leg.t <= context.draft.time:
                    context.draft.earliest = max(context.draft.earliest, found.leg.t)
            return
    context.draft.cause = UNKNOWN
    if context.is_request:
        context.draft.flaw = "gap"
        context.draft.object(sentence("request_disappeared"))


def _finders(context: TransitionContext) -> tuple[Callable[[TransitionContext], FoundCause | None], ...]:
    old = context.draft.old
    if old is State.LISTEN:
        return (ends_by_call.destroyed, ends_by_call.listener, ends_by_call.by_another)
    if old is State.TIME_WAIT:
        return (
            _reset, ends_of_time_wait.taken_over, ends_of_time_wait.over, ends_by_call.destroyed,
        )  # fmt: skip
    if context.is_request:
        return (
            ends_of_requests.reset, ends_of_requests.unreachable_at_once, ends_of_requests.refused,
            ends_of_requests.orphaned, ends_by_call.destroyed,
            ends_of_requests.expired, ends_of_requests.unreachable,
        )  # fmt: skip
    if old is State.SYN_SENT:
        return (
            _reset, ends_by_call.destroyed, ends_by_timer.reported, _refused_by_icmp, ends_by_call.failed,
            ends_by_timer.returned, ends_by_call.closed, ends_by_timer.announced, ends_by_timer.waited,
            ends_by_call.by_another,
        )  # fmt: skip
    if old is State.LAST_ACK:
        return (
            _last_acknowledged, _reset, ends_by_call.destroyed, ends_by_timer.reported, ends_by_call.with_orphans,
            ends_by_call.called_off, ends_by_timer.announced, ends_by_timer.given_up, ends_by_call.by_another,
            ends_by_call.aborted,
        )  # fmt: skip
    return (
        _reset, ends_by_call.destroyed, ends_by_timer.reported, _refused_by_icmp, _after_close, _answered_by_reset,
        ends_by_call.with_orphans, ends_by_call.called_off, ends_by_timer.announced, ends_by_timer.given_up,
        ends_by_call.listener_closed, ends_by_call.lingered, _overflow, ends_by_call.by_another, ends_by_call.aborted,
    )  # fmt: skip


def _reset(context: TransitionContext) -> FoundCause | None:
    leg, own = context.marked(Mark.RST_RECEIVED) or _taken(context), context.marked(Mark.RST_SENT)
    if leg is None or (context.in_task and context.draft.old in _HELD and not context.error):
        return None  # the kernel would have reported an error: the socket was closed before the RST was processed
    # On a short link both ends may abort: a RST that arrives after this end sent its own RST is not the cause.
    late = own is not None and context.draft.time <= own.t < leg.t
    return None if late else FoundCause(Trigger.RESET, received(leg, "reset"), leg)


def _taken(context: TransitionContext) -> SegmentAtEnd | None:
    """A RST that the kernel accepted although its sequence number was not the expected one.

    The reported error or the time shows that it was accepted. Any RST within its window ends a mini-socket
    (tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c).
    """
    if context.error in _RESET_ERRORS or context.is_mini:
        return next((leg for leg in reversed(context.received()) if "R" in leg.segment.flags), None)
    return context.marked(Mark.RST_PERHAPS) if context.in_task is not True else None


def _answered_by_reset(context: TransitionContext) -> FoundCause | None:
    """A SYN within the window of a mini-socket in FIN-WAIT-2; the mini-socket answered it with a RST."""
    answer = context.marked(Mark.RST_SENT)
    if answer is None or not (context.is_mini or context.reset_reason == "TCP_TIMEWAIT_SOCKET"):
        return None
    for leg in reversed(context.answered_by(answer)):
        if "S" in leg.segment.flags:
            return FoundCause(Trigger.NEW_SYN, received(leg), leg)
    return None


def _refused_by_icmp(context: TransitionContext) -> FoundCause | None:
    """An ICMP error before ESTABLISHED, identified by the error that the kernel reported or connect() returned."""
    if context.draft.old not in (State.SYN_SENT, State.SYN_RECEIVED):
        return None
    reported = context.error in ICMP_ERRORS if context.error is not None else context.failed_with(*ICMP_ERRORS)
    if not reported:
        return None
    leg = context.icmp()
    return FoundCause(Trigger.ICMP, received(leg) if leg else Cause("segment", sentence("icmp_error")), leg)


def _last_acknowledged(context: TransitionContext) -> FoundCause | None:
    legs = [leg for leg in context.received() if "R" not in leg.segment.flags and context.index.acknowledges_fin(leg)]
    return FoundCause(Trigger.SEGMENT, received(legs[-1]), legs[-1]) if legs else None


def _after_close(context: TransitionContext) -> FoundCause | None:
    answer = context.marked(Mark.RST_SENT)
    data = [leg for leg in context.answered_by(answer) if leg.segment.length] if answer else []
    if context.draft.old not in (State.FIN_WAIT_1, State.FIN_WAIT_2) or not data or context.in_task:
        return None
    return FoundCause(Trigger.DATA, Cause("segment", sentence("received_after_close"), number_of(data[-1])), data[-1])


def _overflow(context: TransitionContext) -> FoundCause | None:
    """No mini-socket replaced the socket. It was not an abort, which would have sent a RST.

    The host's counters show whether its table was full (inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c).
    """
    if context.draft.old not in (State.FIN_WAIT_2, State.CLOSING) or context.marked(Mark.RST_SENT):
        return None
    if context.grown("TCPTimeWaitOverflow") == 0:
        return None
    # A FIN received at this time may have caused CLOSING. Only an ACK of this end's FIN ends CLOSING.
    fin = "" if context.draft.old is State.CLOSING else "F"
    legs = [
        leg for leg in context.received() if (fin and fin in leg.segment.flags) or context.index.acknowledges_fin(leg)
    ]
    if not legs:
        return None
    return FoundCause(
        Trigger.OVERFLOW, Cause("segment", sentence("time_wait_table_full"), number_of(legs[-1])), legs[-1]
    )
