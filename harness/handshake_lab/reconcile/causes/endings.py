"""Why a connection ended: an answer to every ``→CLOSED`` and ``→LISTEN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import JIFFY, FoundCause, TransitionContext
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.segment import name_of
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import SECOND, TIME_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd

_RETRANSMISSION = sentence("retransmission_timer")
_TIMERS = {
    "keepalive": sentence("keepalive_timer"),
    "persist": sentence("persist_timer"),
    "timewait": sentence("fin_wait_2_timer"),
}
_ORPHANS = (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK)
_UNREACHABLE = ("EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "ENOPROTOOPT", "EPROTO", "EACCES", "EOPNOTSUPP")


def end(context: TransitionContext) -> None:
    """Find why a connection or a listener ended, and say so in the transition."""
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
    context.draft.cause = Cause("unknown", sentence("nobody_saw_why"))
    if _is_request(context):
        context.draft.flaw = "gap"
        context.draft.object(sentence("request_gone"))


def _is_request(context: TransitionContext) -> bool:
    """Whether it never became more than a request socket."""
    return context.draft.old is State.SYN_RECEIVED and context.observed.passive and not context.observed.events


def _finders(context: TransitionContext) -> tuple[Callable[[TransitionContext], FoundCause | None], ...]:
    old = context.draft.old
    if old is State.LISTEN:
        return (_destroyed, _listener, _by_another)
    if old is State.TIME_WAIT:
        return (_assassinated, _taken_over, _time_wait_over, _destroyed, _removed)
    if _is_request(context):
        return (
            _request_reset, _request_refused, _request_orphaned, _destroyed, _request_expired, _request_unreachable,
        )  # fmt: skip
    if old is State.SYN_SENT:
        return (_reset, _destroyed, _refused_by_icmp, _unreachable, _timed_out, _closed, _timer, _waited, _by_another)
    if old is State.LAST_ACK:
        return (_last_acknowledged, _reset, _destroyed, _orphans, _timer, _given_up, _by_another, _aborted)
    return (
        _reset, _destroyed, _refused_by_icmp, _after_close, _orphans, _called_off, _timer, _given_up,
        _listener_closed, _lingered, _overflow,
        _by_another, _aborted,
    )  # fmt: skip


def _received(leg: SegmentAtEnd, kind: str = "segment") -> Cause:
    message = sentence("received", what=name_of(leg.segment.flags))
    return Cause("reset" if kind == "reset" else "segment", message, leg.segment.number)


def _number(leg: SegmentAtEnd | None) -> int | None:
    return leg.segment.number if leg else None


# Any connection.


def _reset(context: TransitionContext) -> FoundCause | None:
    leg, own = context.marked(Mark.RST_RECEIVED), context.marked(Mark.RST_SENT)
    # On a short link both may abort before either has heard of it: a RST that comes behind one's own is too late.
    late = leg is not None and own is not None and context.draft.time <= own.t < leg.t
    return FoundCause(Trigger.RESET, _received(leg, "reset"), leg) if leg and not late else None


def _destroyed(context: TransitionContext) -> FoundCause | None:
    if context.called("ss -K", "destroy") or context.failed_with("ECONNABORTED"):
        return FoundCause(Trigger.DESTROYED, Cause("call", "SOCK_DESTROY"), context.marked(Mark.RST_SENT))
    return None


def _by_another(context: TransitionContext) -> FoundCause | None:
    """What no segment, timer or call of its own explains, and ran in another program's call."""
    if context.observed.node in context.run.blurred or not context.by_another_task():
        return None
    leg = context.marked(Mark.RST_SENT)
    return FoundCause(Trigger.DESTROYED, Cause("call", sentence("destroyed_by_another"), _number(leg)), leg)


def _timer(context: TransitionContext) -> FoundCause | None:
    """The timer that the last look before announced, if the time is right."""
    polls = [poll for poll in context.observed.polls if poll.t < context.draft.time and poll.due is not None]
    if not polls or polls[-1].due is None or not context.due(polls[-1].due, polls[-1].due - polls[-1].t):
        return None
    name = getattr(polls[-1].seen, "timer", "on")
    why = Trigger.EXPIRED if name == "timewait" else Trigger.TIMER
    return FoundCause(why, Cause("timer", _TIMERS.get(name, _RETRANSMISSION)), context.marked(Mark.RST_SENT))


def _given_up(context: TransitionContext) -> FoundCause | None:
    """The other was silent: what was sent, again and again, got no answer."""
    unanswered = context.silence()
    again = [leg for leg in unanswered if leg.segment.retransmits is not None]
    probes = [leg for leg in unanswered if not leg.segment.length and leg.segment.flags == "A"]
    if context.index.leaky or not unanswered or context.draft.earliest - unanswered[-1].t < SECOND // 5:
        return None
    if again:
        return FoundCause(Trigger.TIMER, Cause("timer", _RETRANSMISSION), context.marked(Mark.RST_SENT))
    if len(probes) > 1 and context.marked(Mark.RST_SENT):
        return FoundCause(Trigger.TIMER, Cause("timer", _TIMERS["keepalive"]), context.marked(Mark.RST_SENT))
    return None


def _called_off(context: TransitionContext) -> FoundCause | None:
    """An abort that the program is known to have asked for."""
    leg = context.marked(Mark.RST_SENT)
    call = context.called("close", "connect") if leg else ""
    return FoundCause(Trigger.ABORT, Cause("call", call, leg.segment.number), leg) if leg and call else None


def _aborted(context: TransitionContext) -> FoundCause | None:
    """An abort that nobody recorded: only its RST was seen."""
    leg = context.marked(Mark.RST_SENT)
    if leg is None:
        call = context.called("close")
        return FoundCause(Trigger.ABORT, Cause("call", call)) if call else None
    if context.programs_recorded:
        return FoundCause(None, Cause("unknown", sentence("rst_unrecorded"), leg.segment.number), leg)
    return FoundCause(Trigger.ABORT, Cause("call", sentence("close_aborts"), leg.segment.number), leg)


def _listener_closed(context: TransitionContext) -> FoundCause | None:
    leg = context.marked(Mark.RST_SENT)
    if leg and context.observed.passive and context.listener_stopped(exactly=True):
        return FoundCause(Trigger.LISTENER, Cause("call", sentence("listener_closed"), leg.segment.number), leg)
    return None


def _orphans(context: TransitionContext) -> FoundCause | None:
    """A RST at close(), or in place of a FIN sent again. The host's counters tell it from the program's own abort."""
    leg = context.marked(Mark.RST_SENT)
    grown = context.run.grown.get(context.observed.node, {})
    aborts = any(grown.get(name) for name in ("TCPAbortOnData", "TCPAbortOnClose", "TCPAbortOnLinger"))
    if leg is None or context.draft.old not in _ORPHANS or not grown.get("TCPAbortOnMemory") or aborts:
        return None
    if context.called("close"):
        return FoundCause(Trigger.ORPHANS, Cause("call", sentence("close_orphans"), leg.segment.number), leg)
    return FoundCause(
        Trigger.ORPHANS, Cause("timer", sentence("retransmission_timer_orphans"), leg.segment.number), leg
    )


# A listener.


def _listener(context: TransitionContext) -> FoundCause | None:
    call = context.called("close", "shutdown", "connect")
    if call or not context.by_another_task():
        return FoundCause(Trigger.CALL, Cause("call", call or "close()"))
    return None


# SYN-SENT.


def _closed(context: TransitionContext) -> FoundCause | None:
    call = context.called("close", "shutdown")
    return FoundCause(Trigger.CALL, Cause("call", call)) if call else None


def _refused_by_icmp(context: TransitionContext) -> FoundCause | None:
    """An ICMP error before ESTABLISHED, known by what connect() returned: no segment tells of it."""
    if context.draft.old in (State.SYN_SENT, State.SYN_RECEIVED) and context.failed_with(*_UNREACHABLE):
        return FoundCause(Trigger.ICMP, Cause("segment", sentence("icmp")))
    return None


def _unreachable(context: TransitionContext) -> FoundCause | None:
    """Not even the SYN left, for there is no way to the other."""
    if (
        context.index.legs == []
        and context.place
        and context.draft.time - context.drafts[context.place - 1].time <= context.run.pause
    ):
        return FoundCause(None, Cause("call", sentence("connect_failed")))
    return None


def _timed_out(context: TransitionContext) -> FoundCause | None:
    return FoundCause(Trigger.TIMER, Cause("timer", _RETRANSMISSION)) if context.failed_with("ETIMEDOUT") else None


def _waited(context: TransitionContext) -> FoundCause | None:
    return FoundCause(Trigger.TIMER, Cause("timer", _RETRANSMISSION)) if context.waited() else None


# A request that never became a connection.


def _request_reset(context: TransitionContext) -> FoundCause | None:
    leg = context.marked(Mark.RST_RECEIVED)
    if leg is None:
        return None
    context.draft.new = State.LISTEN
    return FoundCause(Trigger.RESET, _received(leg, "reset"), leg)


def _request_refused(context: TransitionContext) -> FoundCause | None:
    """The kernel answered a segment with a RST, and dropped the request."""
    answer = context.marked(Mark.RST_SENT)
    received = context.answered_by(answer) if answer else []
    if not received:
        return None
    for leg in reversed(received):
        if "S" in leg.segment.flags:
            context.draft.new = State.LISTEN
            return FoundCause(Trigger.NEW_SYN, _received(leg), leg)
    leg = received[-1]
    if context.listener_stopped():
        return FoundCause(Trigger.LISTENER, Cause("segment", sentence("listener_gone"), leg.segment.number), leg)
    return FoundCause(Trigger.OVERFLOW, Cause("segment", sentence("accept_queue_full"), leg.segment.number), leg)


def _request_orphaned(context: TransitionContext) -> FoundCause | None:
    return (
        FoundCause(Trigger.LISTENER, Cause("call", sentence("listener_gone"))) if context.listener_stopped() else None
    )


def _request_expired(context: TransitionContext) -> FoundCause | None:
    """Its timer, and no reset: only a capture that missed nothing can tell.

    From a single SYN-ACK not even that: a kernel that may send no second one (tcp_synack_retries of 0) and a
    capture that missed some look the same. Then the node's counters must say that no reset took a request
    away (EmbryonicRsts, tcp_check_req(), net/ipv4/tcp_minisocks.c).
    """
    sent = [leg.t for leg in context.index.legs if leg.outgoing and "S" in leg.segment.flags]
    near = [at for at in context.observed.strayed if context.draft.earliest - SECOND <= at <= context.draft.time]
    if not sent or context.index.leaky or context.observed.unheard or near:
        return None
    if len(sent) > 1:
        # Every wait of this timer is twice the one before (reqsk_timer_handler()).
        expired = context.draft.earliest - sent[-1] > 1.8 * (sent[-1] - sent[-2])
    else:
        due = context.observed.polls[-2].due if len(context.observed.polls) > 1 else None
        grown = context.run.grown.get(context.observed.node)
        unharmed = grown is not None and not grown.get("EmbryonicRsts")
        expired = unharmed and due is not None and context.draft.earliest >= due - JIFFY
    return FoundCause(Trigger.EXPIRED, Cause("timer", sentence("syn_ack_timer"))) if expired else None


def _request_unreachable(context: TransitionContext) -> FoundCause | None:
    """An ICMP error: no capture has it, but it counts as a drop, though no queue was full (tcp_req_err())."""
    grown = context.run.grown.get(context.observed.node, {})
    if not grown.get("ListenDrops") or grown.get("ListenOverflows"):
        return None
    return FoundCause(Trigger.ICMP, Cause("segment", sentence("icmp")))


# After the FIN.


def _last_acknowledged(context: TransitionContext) -> FoundCause | None:
    legs = [leg for leg in context.received() if context.index.acknowledges_fin(leg)]
    return FoundCause(Trigger.SEGMENT, _received(legs[-1]), legs[-1]) if legs else None


def _after_close(context: TransitionContext) -> FoundCause | None:
    answer = context.marked(Mark.RST_SENT)
    data = [leg for leg in context.answered_by(answer) if leg.segment.length] if answer else []
    if context.draft.old not in (State.FIN_WAIT_1, State.FIN_WAIT_2) or not data:
        return None
    return FoundCause(
        Trigger.DATA, Cause("segment", sentence("received_after_close"), data[-1].segment.number), data[-1]
    )


def _overflow(context: TransitionContext) -> FoundCause | None:
    """A mini-socket should have taken over, and no look showed one; an abort would have sent a RST."""
    if context.draft.old not in (State.FIN_WAIT_2, State.CLOSING) or context.marked(Mark.RST_SENT):
        return None
    # The FIN brought a connection to CLOSING, perhaps just then: only the ACK of its own leads on.
    fin = "" if context.draft.old is State.CLOSING else "F"
    legs = [
        leg for leg in context.received() if (fin and fin in leg.segment.flags) or context.index.acknowledges_fin(leg)
    ]
    if not legs:
        return None
    return FoundCause(Trigger.OVERFLOW, Cause("segment", sentence("time_wait_full"), legs[-1].segment.number), legs[-1])


def _lingered(context: TransitionContext) -> FoundCause | None:
    """An orphan with a negative TCP_LINGER2 does not wait in FIN-WAIT-2 at all."""
    before = context.drafts[context.place - 1] if context.place else None
    leg = context.marked(Mark.RST_SENT)
    if (
        leg
        and context.draft.old is State.FIN_WAIT_2
        and before
        and context.draft.time - before.time <= context.run.pause
    ):
        return FoundCause(Trigger.ABORT, Cause("call", sentence("close_linger2"), leg.segment.number), leg)
    return None


# TIME-WAIT.


def _assassinated(context: TransitionContext) -> FoundCause | None:
    return _reset(context)


def _taken_over(context: TransitionContext) -> FoundCause | None:
    """A new connection with the same addresses ended it."""
    after = context.after
    if after is None or not context.near(after.t) or "S" not in after.segment.flags:
        return None
    if after.outgoing:
        return FoundCause(Trigger.REUSE, Cause("call", sentence("connect_again"), after.segment.number), after)
    return FoundCause(Trigger.NEW_SYN, _received(after), after)


def _time_wait_over(context: TransitionContext) -> FoundCause | None:
    """Sixty seconds after it began, or after the last segment that made it begin anew."""
    began = context.drafts[context.place - 1].time if context.place else context.observed.start
    armed = [began, *(leg.t for leg in context.index.legs if not leg.outgoing and began <= leg.t < context.draft.time)]
    if any(context.due(at + TIME_WAIT, TIME_WAIT) for at in armed):
        return FoundCause(Trigger.TIMER, Cause("timer", sentence("time_wait_timer")))
    return None


def _removed(context: TransitionContext) -> FoundCause | None:
    if context.draft.time < context.drafts[context.place - 1].time + TIME_WAIT:
        return FoundCause(Trigger.DESTROYED, Cause("call", sentence("destroyed_early")))
    return None
