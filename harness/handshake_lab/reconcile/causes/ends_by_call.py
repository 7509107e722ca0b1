"""Connections that ended by a call: the program's own, the end of the listener, or SOCK_DESTROY."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import ORPHANS, FoundCause, number_of
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.reconcile.causes.context import TransitionContext
    from handshake_lab.recording.messages import Message

#: Calls after which the program still has its socket.
_KEPT = sentence("either_call", first="shutdown()", other="connect(AF_UNSPEC)")


def destroyed(context: TransitionContext) -> FoundCause | None:
    """SOCK_DESTROY: the only cause for which the kernel reports ECONNABORTED (tcp_abort(), net/ipv4/tcp.c).

    If there is no program to report to, or the recording has no error reports, a call of ``ss -K`` must have been
    recorded. An orphan that ends in a task's call was not closed by its program, which had closed it before.
    """
    named = context.called("ss -K", "destroy")
    if context.error == "ECONNABORTED":
        known = True
    elif context.in_task is not None:
        known = context.in_task and context.long_orphaned
    else:
        known = bool(named) or context.failed_with("ECONNABORTED")
    if not known:
        return None
    message = "SOCK_DESTROY" if named or context.in_task is None else sentence("destroyed_by_another")
    leg = context.marked(Mark.RST_SENT)
    return FoundCause(Trigger.DESTROYED, Cause("call", message, None if named else number_of(leg)), leg)


def by_another(context: TransitionContext) -> FoundCause | None:
    """The transition ran in another program's task, and no segment, timer or call explains it.

    Only for recordings without error reports: another task may also be a thread or a child of the program.
    """
    if context.error is not None or context.is_mini or context.observed.node in context.run.blurred:
        return None
    if not context.by_another_task():
        return None
    leg = context.marked(Mark.RST_SENT)
    return FoundCause(Trigger.DESTROYED, Cause("call", sentence("destroyed_by_another"), number_of(leg)), leg)


def called_off(context: TransitionContext) -> FoundCause | None:
    """An abort by a recorded call."""
    leg = context.marked(Mark.RST_SENT)
    if leg is None or context.in_task is False:
        return None
    # A connect() may have returned just before: the abort is a later call.
    call = context.called("close") or ("" if context.destroyed_at_once else context.called("connect"))
    return FoundCause(Trigger.ABORT, Cause("call", call, number_of(leg)), leg) if call else None


def aborted(context: TransitionContext) -> FoundCause | None:
    """An abort by a program whose calls were not recorded: in a task's call, and without a reported error."""
    leg = context.marked(Mark.RST_SENT)
    if context.in_task is False:
        return None
    if leg is None:
        call = context.called("close") or context.called("connect")
        if call or not (context.in_task and context.error == ""):
            return FoundCause(Trigger.ABORT, Cause("call", call)) if call else None
        return FoundCause(Trigger.ABORT, Cause("call", _abort(context)))
    if context.programs_recorded and not context.in_task:
        return FoundCause(None, Cause("unknown", sentence("rst_unrecorded"), number_of(leg)), leg)
    return FoundCause(Trigger.ABORT, Cause("call", _abort(context), number_of(leg)), leg)


def _abort(context: TransitionContext) -> Message | str:
    """The aborting call. With connect(AF_UNSPEC) the program keeps its socket; no counter grows (tcp_disconnect())."""
    if context.reset_reason == "TCP_ABORT_ON_CLOSE":
        return sentence("close_aborts")
    uncounted = context.grown("TCPAbortOnClose") == context.grown("TCPAbortOnData") == 0
    if context.kept or (uncounted and not context.observed.passive):
        return "connect(AF_UNSPEC)"
    # Of a child that nobody had accepted, the listener's end is not counted either (inet_csk_listen_stop()).
    if not uncounted and (context.destroyed_at_once or not context.run.all_traced):
        return sentence("close_aborts")
    return sentence("either_call", first=sentence("close_aborts"), other="connect(AF_UNSPEC)")


def listener_closed(context: TransitionContext) -> FoundCause | None:
    """Its listener was closed before accept() took it."""
    leg = context.marked(Mark.RST_SENT)
    if context.in_task is False or context.accepted or context.reset_reason == "TCP_ABORT_ON_CLOSE":
        return None
    if leg and context.observed.passive and context.listener_stopped(exactly=True):
        return FoundCause(Trigger.LISTENER, Cause("call", sentence("listener_closed"), number_of(leg)), leg)
    return None


def with_orphans(context: TransitionContext) -> FoundCause | None:
    """A RST at close(), or instead of a retransmitted FIN. Counters distinguish it from the program's own abort."""
    leg = context.marked(Mark.RST_SENT)
    if leg is None or context.draft.old not in ORPHANS:
        return None
    if context.reset_reason:
        known = context.reset_reason == "TCP_ABORT_ON_MEMORY"
    else:
        aborts = any(context.grown(name) for name in ("TCPAbortOnData", "TCPAbortOnClose", "TCPAbortOnLinger"))
        known = bool(context.grown("TCPAbortOnMemory")) and not aborts
    if not known:
        return None
    if context.called("close") or context.in_task:
        return FoundCause(Trigger.ORPHANS, Cause("call", sentence("close_orphans"), number_of(leg)), leg)
    return FoundCause(Trigger.ORPHANS, Cause("timer", sentence("retransmission_timer_orphans"), number_of(leg)), leg)


def lingered(context: TransitionContext) -> FoundCause | None:
    """An orphan with a negative TCP_LINGER2 does not wait in FIN-WAIT-2 at all.

    It is counted as an abort (tcp_rcv_state_process(), net/ipv4/tcp_input.c; __tcp_close(), net/ipv4/tcp.c).
    """
    before = context.drafts[context.place - 1] if context.place else None
    leg = context.marked(Mark.RST_SENT)
    if leg is None or context.draft.old is not State.FIN_WAIT_2 or before is None:
        return None
    if context.reset_reason:
        counted = context.reset_reason in ("TCP_ABORT_ON_DATA", "TCP_ABORT_ON_LINGER")
    else:
        counted = context.grown("TCPAbortOnData") != 0 or context.grown("TCPAbortOnLinger") != 0
    if not counted or context.draft.time - before.time > context.run.pause:
        return None
    return FoundCause(Trigger.ABORT, Cause("call", sentence("close_linger2"), number_of(leg)), leg)


def listener(context: TransitionContext) -> FoundCause | None:
    """A listener that its program closed, or shut down."""
    call = context.called("close", "shutdown", "connect")
    if call or context.error == "" or (context.error is None and not context.by_another_task()):
        return FoundCause(Trigger.CALL, Cause("call", call or (_KEPT if context.kept else "close()")))
    return None


def closed(context: TransitionContext) -> FoundCause | None:
    """In SYN-SENT, by the program: a recorded call, or in a task's call without a reported error."""
    call = context.called("close", "shutdown", "connect(")
    if context.in_task is False or (context.error and context.held):
        return None
    if call:
        return FoundCause(Trigger.CALL, Cause("call", call))
    if not context.in_task:
        return None
    return FoundCause(Trigger.CALL, Cause("call", "close()" if context.destroyed_at_once else _KEPT))


def failed(context: TransitionContext) -> FoundCause | None:
    """The SYN was not sent, because there is no route: connect() itself ended the attempt."""
    at_once = context.place and context.draft.time - context.drafts[context.place - 1].time <= context.run.pause
    if context.index.legs or not at_once or context.in_task is False or context.called("close", "shutdown"):
        return None
    return FoundCause(None, Cause("call", sentence("connect_failed")))
