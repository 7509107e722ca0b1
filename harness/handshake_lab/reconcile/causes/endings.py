"""Why a connection ended: an answer to every ``→CLOSED`` and ``→LISTEN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import JIFFY, Case, Found
from handshake_lab.reconcile.segments.segment_index import Mark
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import say
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.edge import Why
from handshake_lab.tcp.segment import name_of
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import SECOND, TIME_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.reconcile.segments.matching import Leg

_RETRANSMISSION = say("retransmission_timer")
_TIMERS = {
    "keepalive": say("keepalive_timer"),
    "persist": say("persist_timer"),
    "timewait": say("fin_wait_2_timer"),
}
_ORPHANS = (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK)
_UNREACHABLE = ("EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "ENOPROTOOPT", "EPROTO", "EACCES", "EOPNOTSUPP")


def end(case: Case) -> None:
    """Find why a connection or a listener ended, and say so in the transition."""
    for find in _finders(case):
        found = find(case)
        if found is not None:
            case.draft.why, case.draft.cause = found.why, found.cause
            if found.leg is not None:
                case.draft.leg = found.leg
                case.draft.witnesses.add(Witness.CAPTURE)
                if not found.leg.outgoing and found.leg.t <= case.draft.time:
                    case.draft.earliest = max(case.draft.earliest, found.leg.t)
            return
    case.draft.cause = Cause("unknown", say("nobody_saw_why"))
    if _is_request(case):
        case.draft.flaw = "gap"
        case.draft.object(say("request_gone"))


def _is_request(case: Case) -> bool:
    """Whether it never became more than a request socket."""
    return case.draft.old is State.SYN_RECEIVED and case.life.passive and not case.life.events


def _finders(case: Case) -> tuple[Callable[[Case], Found | None], ...]:
    old = case.draft.old
    if old is State.LISTEN:
        return (_destroyed, _listener, _by_another)
    if old is State.TIME_WAIT:
        return (_assassinated, _taken_over, _time_wait_over, _destroyed, _removed)
    if _is_request(case):
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


def _received(leg: Leg, kind: str = "segment") -> Cause:
    said = say("received", what=name_of(leg.passage.flags))
    return Cause("reset" if kind == "reset" else "segment", said, leg.passage.number)


def _number(leg: Leg | None) -> int | None:
    return leg.passage.number if leg else None


# Any connection.


def _reset(case: Case) -> Found | None:
    leg, own = case.marked(Mark.RST_RECEIVED), case.marked(Mark.RST_SENT)
    # On a short link both may abort before either has heard of it: a RST that comes behind one's own is too late.
    late = leg is not None and own is not None and case.draft.time <= own.t < leg.t
    return Found(Why.RESET, _received(leg, "reset"), leg) if leg and not late else None


def _destroyed(case: Case) -> Found | None:
    if case.called("ss -K", "destroy") or case.failed_with("ECONNABORTED"):
        return Found(Why.DESTROYED, Cause("call", "SOCK_DESTROY"), case.marked(Mark.RST_SENT))
    return None


def _by_another(case: Case) -> Found | None:
    """What no segment, timer or call of its own explains, and ran in another program's call."""
    if case.life.node in case.run.blurred or not case.by_another_task():
        return None
    leg = case.marked(Mark.RST_SENT)
    return Found(Why.DESTROYED, Cause("call", say("destroyed_by_another"), _number(leg)), leg)


def _timer(case: Case) -> Found | None:
    """The timer that the last look before announced, if the time is right."""
    looks = [look for look in case.life.looks if look.t < case.draft.time and look.due is not None]
    if not looks or looks[-1].due is None or not case.due(looks[-1].due, looks[-1].due - looks[-1].t):
        return None
    name = getattr(looks[-1].seen, "timer", "on")
    why = Why.EXPIRED if name == "timewait" else Why.TIMER
    return Found(why, Cause("timer", _TIMERS.get(name, _RETRANSMISSION)), case.marked(Mark.RST_SENT))


def _given_up(case: Case) -> Found | None:
    """The other was silent: what was sent, again and again, got no answer."""
    unanswered = case.silence()
    again = [leg for leg in unanswered if leg.passage.retransmits is not None]
    probes = [leg for leg in unanswered if not leg.passage.length and leg.passage.flags == "A"]
    if case.wire.leaky or not unanswered or case.draft.earliest - unanswered[-1].t < SECOND // 5:
        return None
    if again:
        return Found(Why.TIMER, Cause("timer", _RETRANSMISSION), case.marked(Mark.RST_SENT))
    if len(probes) > 1 and case.marked(Mark.RST_SENT):
        return Found(Why.TIMER, Cause("timer", _TIMERS["keepalive"]), case.marked(Mark.RST_SENT))
    return None


def _called_off(case: Case) -> Found | None:
    """An abort that the program is known to have asked for."""
    leg = case.marked(Mark.RST_SENT)
    call = case.called("close", "connect") if leg else ""
    return Found(Why.ABORT, Cause("call", call, leg.passage.number), leg) if leg and call else None


def _aborted(case: Case) -> Found | None:
    """An abort that nobody recorded: only its RST was seen."""
    leg = case.marked(Mark.RST_SENT)
    if leg is None:
        call = case.called("close")
        return Found(Why.ABORT, Cause("call", call)) if call else None
    if case.programs_recorded:
        return Found(None, Cause("unknown", say("rst_unrecorded"), leg.passage.number), leg)
    return Found(Why.ABORT, Cause("call", say("close_aborts"), leg.passage.number), leg)


def _listener_closed(case: Case) -> Found | None:
    leg = case.marked(Mark.RST_SENT)
    if leg and case.life.passive and case.listener_stopped(exactly=True):
        return Found(Why.LISTENER, Cause("call", say("listener_closed"), leg.passage.number), leg)
    return None


def _orphans(case: Case) -> Found | None:
    """A RST at close(), or in place of a FIN sent again. The host's counters tell it from the program's own abort."""
    leg = case.marked(Mark.RST_SENT)
    grown = case.run.grown.get(case.life.node, {})
    aborts = any(grown.get(name) for name in ("TCPAbortOnData", "TCPAbortOnClose", "TCPAbortOnLinger"))
    if leg is None or case.draft.old not in _ORPHANS or not grown.get("TCPAbortOnMemory") or aborts:
        return None
    if case.called("close"):
        return Found(Why.ORPHANS, Cause("call", say("close_orphans"), leg.passage.number), leg)
    return Found(Why.ORPHANS, Cause("timer", say("retransmission_timer_orphans"), leg.passage.number), leg)


# A listener.


def _listener(case: Case) -> Found | None:
    call = case.called("close", "shutdown", "connect")
    if call or not case.by_another_task():
        return Found(Why.CALL, Cause("call", call or "close()"))
    return None


# SYN-SENT.


def _closed(case: Case) -> Found | None:
    call = case.called("close", "shutdown")
    return Found(Why.CALL, Cause("call", call)) if call else None


def _refused_by_icmp(case: Case) -> Found | None:
    """An ICMP error before ESTABLISHED, known by what connect() returned: no segment tells of it."""
    if case.draft.old in (State.SYN_SENT, State.SYN_RECEIVED) and case.failed_with(*_UNREACHABLE):
        return Found(Why.ICMP, Cause("segment", say("icmp")))
    return None


def _unreachable(case: Case) -> Found | None:
    """Not even the SYN left, for there is no way to the other."""
    if case.wire.legs == [] and case.place and case.draft.time - case.drafts[case.place - 1].time <= case.run.pause:
        return Found(None, Cause("call", say("connect_failed")))
    return None


def _timed_out(case: Case) -> Found | None:
    return Found(Why.TIMER, Cause("timer", _RETRANSMISSION)) if case.failed_with("ETIMEDOUT") else None


def _waited(case: Case) -> Found | None:
    return Found(Why.TIMER, Cause("timer", _RETRANSMISSION)) if case.waited() else None


# A request that never became a connection.


def _request_reset(case: Case) -> Found | None:
    leg = case.marked(Mark.RST_RECEIVED)
    if leg is None:
        return None
    case.draft.new = State.LISTEN
    return Found(Why.RESET, _received(leg, "reset"), leg)


def _request_refused(case: Case) -> Found | None:
    """The kernel answered a segment with a RST, and dropped the request."""
    answer = case.marked(Mark.RST_SENT)
    received = case.answered_by(answer) if answer else []
    if not received:
        return None
    for leg in reversed(received):
        if "S" in leg.passage.flags:
            case.draft.new = State.LISTEN
            return Found(Why.NEW_SYN, _received(leg), leg)
    leg = received[-1]
    if case.listener_stopped():
        return Found(Why.LISTENER, Cause("segment", say("listener_gone"), leg.passage.number), leg)
    return Found(Why.OVERFLOW, Cause("segment", say("accept_queue_full"), leg.passage.number), leg)


def _request_orphaned(case: Case) -> Found | None:
    return Found(Why.LISTENER, Cause("call", say("listener_gone"))) if case.listener_stopped() else None


def _request_expired(case: Case) -> Found | None:
    """Its timer, and no reset: only a capture that missed nothing can tell.

    From a single SYN-ACK not even that: a kernel that may send no second one (tcp_synack_retries of 0) and a
    capture that missed some look the same. Then the node's counters must say that no reset took a request
    away (EmbryonicRsts, tcp_check_req(), net/ipv4/tcp_minisocks.c).
    """
    sent = [leg.t for leg in case.wire.legs if leg.outgoing and "S" in leg.passage.flags]
    near = [at for at in case.life.strayed if case.draft.earliest - SECOND <= at <= case.draft.time]
    if not sent or case.wire.leaky or case.life.unheard or near:
        return None
    if len(sent) > 1:
        # Every wait of this timer is twice the one before (reqsk_timer_handler()).
        expired = case.draft.earliest - sent[-1] > 1.8 * (sent[-1] - sent[-2])
    else:
        due = case.life.looks[-2].due if len(case.life.looks) > 1 else None
        grown = case.run.grown.get(case.life.node)
        unharmed = grown is not None and not grown.get("EmbryonicRsts")
        expired = unharmed and due is not None and case.draft.earliest >= due - JIFFY
    return Found(Why.EXPIRED, Cause("timer", say("syn_ack_timer"))) if expired else None


def _request_unreachable(case: Case) -> Found | None:
    """An ICMP error: no capture has it, but it counts as a drop, though no queue was full (tcp_req_err())."""
    grown = case.run.grown.get(case.life.node, {})
    if not grown.get("ListenDrops") or grown.get("ListenOverflows"):
        return None
    return Found(Why.ICMP, Cause("segment", say("icmp")))


# After the FIN.


def _last_acknowledged(case: Case) -> Found | None:
    legs = [leg for leg in case.received() if case.wire.acknowledges_fin(leg)]
    return Found(Why.SEGMENT, _received(legs[-1]), legs[-1]) if legs else None


def _after_close(case: Case) -> Found | None:
    answer = case.marked(Mark.RST_SENT)
    data = [leg for leg in case.answered_by(answer) if leg.passage.length] if answer else []
    if case.draft.old not in (State.FIN_WAIT_1, State.FIN_WAIT_2) or not data:
        return None
    return Found(Why.DATA, Cause("segment", say("received_after_close"), data[-1].passage.number), data[-1])


def _overflow(case: Case) -> Found | None:
    """A mini-socket should have taken over, and no look showed one; an abort would have sent a RST."""
    if case.draft.old not in (State.FIN_WAIT_2, State.CLOSING) or case.marked(Mark.RST_SENT):
        return None
    # The FIN brought a connection to CLOSING, perhaps just then: only the ACK of its own leads on.
    fin = "" if case.draft.old is State.CLOSING else "F"
    legs = [leg for leg in case.received() if (fin and fin in leg.passage.flags) or case.wire.acknowledges_fin(leg)]
    if not legs:
        return None
    return Found(Why.OVERFLOW, Cause("segment", say("time_wait_full"), legs[-1].passage.number), legs[-1])


def _lingered(case: Case) -> Found | None:
    """An orphan with a negative TCP_LINGER2 does not wait in FIN-WAIT-2 at all."""
    before = case.drafts[case.place - 1] if case.place else None
    leg = case.marked(Mark.RST_SENT)
    if leg and case.draft.old is State.FIN_WAIT_2 and before and case.draft.time - before.time <= case.run.pause:
        return Found(Why.ABORT, Cause("call", say("close_linger2"), leg.passage.number), leg)
    return None


# TIME-WAIT.


def _assassinated(case: Case) -> Found | None:
    return _reset(case)


def _taken_over(case: Case) -> Found | None:
    """A new connection with the same addresses ended it."""
    after = case.after
    if after is None or not case.near(after.t) or "S" not in after.passage.flags:
        return None
    if after.outgoing:
        return Found(Why.REUSE, Cause("call", say("connect_again"), after.passage.number), after)
    return Found(Why.NEW_SYN, _received(after), after)


def _time_wait_over(case: Case) -> Found | None:
    """Sixty seconds after it began, or after the last segment that made it begin anew."""
    began = case.drafts[case.place - 1].time if case.place else case.life.start
    armed = [began, *(leg.t for leg in case.wire.legs if not leg.outgoing and began <= leg.t < case.draft.time)]
    if any(case.due(at + TIME_WAIT, TIME_WAIT) for at in armed):
        return Found(Why.TIMER, Cause("timer", say("time_wait_timer")))
    return None


def _removed(case: Case) -> Found | None:
    if case.draft.time < case.drafts[case.place - 1].time + TIME_WAIT:
        return Found(Why.DESTROYED, Cause("call", say("destroyed_early")))
    return None
