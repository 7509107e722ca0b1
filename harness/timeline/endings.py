"""Why a connection ended: an answer to every ``→CLOSED``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.tcp.edges import Why
from harness.tcp.segment import name_of
from harness.tcp.states import State
from harness.timeline.history import Cause
from harness.timeline.lives import SLACK, Life
from harness.timeline.observations import Step, Witness
from harness.timeline.wire import Mark, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.timeline.drafts import Draft
    from harness.timeline.passages import Leg

_SECOND = 1_000_000_000
_TIME_WAIT = 60 * _SECOND
#: A kernel timer fires within [t, t * 1.125 + 1 jiffy] (kernel/time/timer.c); two such in a row.
_LATE = 1.125
_JIFFY = 10_000_000
_RETRANSMISSION = "the retransmission timer"


class Endings:
    """What can end a connection besides its own segments.

    Args:
        lives: All lives of the run.
        steps: The programs' calls by node, in order of time.
        grown: By how much each node's counters have grown at the end of the run.
    """

    def __init__(
        self, lives: Sequence[Life], steps: Mapping[str, Sequence[Step]], grown: Mapping[str, Mapping[str, int]]
    ) -> None:
        self._lives = lives
        self._steps = steps
        self._grown = grown
        self._stopped = [
            (life, life.events[-1].t)
            for life in lives
            if life.listens and life.events and life.events[-1].old is State.LISTEN
        ]

    def assign(self, life: Life, wire: Wire, drafts: Sequence[Draft], place: int) -> None:
        """Find why the transition at ``place`` ended the connection, and say so in it."""
        draft = drafts[place]
        near = _Near(wire, draft)
        for find in (
            self._listener,
            self._time_wait,
            self._request,
            self._last_ack,
            self._reset,
            self._after_close,
            self._timer,
            self._aborted,
            self._overflow,
        ):
            found = find(life, near, drafts, place)
            if found is not None:
                draft.why, draft.cause, leg = found
                if leg is not None:
                    draft.leg = leg
                    draft.witnesses.add(Witness.CAPTURE)
                return
        draft.cause = Cause("unknown", "nobody saw why")

    def _listener(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        draft = drafts[place]
        if draft.old is not State.LISTEN or life.passive:
            return None
        if self._called(life, draft, ("destroy", "ss -K")):
            return Why.DESTROYED, Cause("call", "SOCK_DESTROY"), None
        return Why.CALL, Cause("call", self._called(life, draft, ("close", "shutdown", "connect")) or "close()"), None

    def _time_wait(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        draft = drafts[place]
        if draft.old is not State.TIME_WAIT:
            return None
        if leg := near.mark(Mark.RST_RECEIVED):
            return Why.RESET, _received(leg, "reset"), leg
        for other in self._lives:
            if other is not life and (other.node, other.local, other.remote) == (life.node, life.local, life.remote):
                if (
                    draft.earliest - SLACK <= other.start + SLACK
                    and other.start - SLACK <= draft.time
                    and other.passive
                ):
                    return Why.NEW_SYN, Cause("segment", "received a new SYN"), None
                if draft.earliest - SLACK <= other.born <= draft.time + SLACK:
                    return Why.REUSE, Cause("call", "connect() with the same addresses"), None
        armed = max(
            [drafts[place - 1].time, *(leg.t for leg in near.wire.legs if not leg.outgoing and leg.t < draft.time)]
        )
        if _due(armed + _TIME_WAIT, _TIME_WAIT, draft):
            return Why.TIMER, Cause("timer", "the TIME-WAIT timer"), None
        if self._called(life, draft, ("destroy", "ss -K")):
            return Why.DESTROYED, Cause("call", "SOCK_DESTROY"), None
        return None

    def _request(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        """A request that never became a connection."""
        draft = drafts[place]
        if draft.old is not State.SYN_RECEIVED or not life.passive or life.events:
            return None
        if leg := near.mark(Mark.RST_RECEIVED):
            draft.new = State.LISTEN
            return Why.RESET, _received(leg, "reset"), leg
        if near.mark(Mark.RST_SENT):
            for leg in near.received():
                if "S" in leg.passage.flags and "A" not in leg.passage.flags:
                    draft.new = State.LISTEN
                    return Why.NEW_SYN, _received(leg, "segment"), leg
            stopped = self._listener_stopped(life, draft.time)
            for leg in near.received():
                if stopped:
                    return Why.LISTENER, Cause("segment", "its listener had closed", leg.passage.number), leg
                return Why.OVERFLOW, Cause("segment", "the accept queue was full", leg.passage.number), leg
        if self._listener_stopped(life, draft.time):
            return Why.LISTENER, Cause("call", "its listener had closed"), None
        if self._called(life, draft, ("destroy", "ss -K")):
            return Why.DESTROYED, Cause("call", "SOCK_DESTROY"), None
        if draft.time - drafts[place].earliest >= 0 and self._waited(life, near, draft):
            return Why.TIMER, Cause("timer", "the SYN-ACK timer"), None
        return None

    def _last_ack(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        if drafts[place].old is not State.LAST_ACK:
            return None
        acks = [leg for leg in near.received() if near.wire.acknowledges_fin(leg)]
        return (Why.SEGMENT, _received(acks[-1], "segment"), acks[-1]) if acks else None

    def _reset(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        leg = near.mark(Mark.RST_RECEIVED)
        return (Why.RESET, _received(leg, "reset"), leg) if leg else None

    def _after_close(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        if drafts[place].old not in (State.FIN_WAIT_1, State.FIN_WAIT_2) or not near.mark(Mark.RST_SENT):
            return None
        data = [leg for leg in near.received() if leg.passage.length]
        if not data:
            return None
        return Why.DATA, Cause("segment", "received data after close()", data[-1].passage.number), data[-1]

    def _timer(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        draft = drafts[place]
        before = [look for look in life.looks if not look.gone and look.t < draft.time and look.due is not None]
        if not before:
            return None
        look = before[-1]
        due = look.due or 0
        if not _due(due, due - look.t, draft):
            return None
        timer = getattr(look.seen, "timer", "on")
        if timer == "timewait":
            return Why.TIMER, Cause("timer", "the FIN-WAIT-2 timer"), None
        names = {"keepalive": "the keepalive timer", "persist": "the persist timer"}
        return Why.TIMER, Cause("timer", names.get(timer, _RETRANSMISSION)), None

    def _aborted(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        draft = drafts[place]
        if self._called(life, draft, ("destroy", "ss -K")):
            return Why.DESTROYED, Cause("call", "SOCK_DESTROY"), near.mark(Mark.RST_SENT)
        call = self._called(life, draft, ("close", "shutdown", "connect"))
        if draft.old is State.SYN_SENT:
            if call:
                return Why.CALL, Cause("call", call), None
            if self._waited(life, near, draft):
                return Why.TIMER, Cause("timer", _RETRANSMISSION), None
            return None
        leg = near.mark(Mark.RST_SENT)
        if leg is None:
            return (Why.ABORT, Cause("call", call), None) if call else None
        if life.passive and not call and self._listener_stopped(life, draft.time, exactly=True):
            return Why.LISTENER, Cause("call", "its listener closed before accept()", leg.passage.number), leg
        if draft.old in (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK) and self._grown.get(life.node, {}).get(
            "TCPAbortOnMemory"
        ):
            return Why.ORPHANS, Cause("call", "too many orphans", leg.passage.number), leg
        return Why.ABORT, Cause("call", call or "close() that aborts", leg.passage.number), leg

    def _overflow(self, life: Life, near: _Near, drafts: Sequence[Draft], place: int) -> _Found | None:
        draft = drafts[place]
        if draft.old not in (State.FIN_WAIT_2, State.CLOSING):
            return None
        legs = [leg for leg in near.received() if "F" in leg.passage.flags or near.wire.acknowledges_fin(leg)]
        return (Why.OVERFLOW, _received(legs[-1], "segment"), legs[-1]) if legs else None

    def _called(self, life: Life, draft: Draft, names: Iterable[str]) -> str:
        """The call that a program began on this socket at that time, "" where none did."""
        for step in self._steps.get(life.node, ()):
            if (
                step.phase == "begins"
                and step.call.startswith(tuple(names))
                and step.cookie in (0, life.cookie)
                and draft.earliest - SLACK <= step.t <= draft.time + SLACK
            ):
                draft.witnesses.add(Witness.APPLICATION)
                return step.call if "(" in step.call else f"{step.call}()"
        return ""

    def _listener_stopped(self, life: Life, t: int, *, exactly: bool = False) -> bool:
        return any(
            listener.node in (life.node, "")
            and listener.local.port == life.local.port
            and life.born <= at + SLACK
            and (abs(at - t) <= SLACK if exactly else at <= t + SLACK)
            for listener, at in self._stopped
        )

    @staticmethod
    def _waited(life: Life, near: _Near, draft: Draft) -> bool:
        """Whether a second or more had passed since the last segment, the least a handshake's timer takes."""
        legs = [leg.t for leg in near.wire.legs if leg.t <= draft.time]
        return draft.time - max(legs, default=life.born) >= _SECOND - SLACK


_Found = tuple[Why, Cause, "Leg | None"]


class _Near:
    """The segments at the time of a transition."""

    def __init__(self, wire: Wire, draft: Draft) -> None:
        self.wire = wire
        self._low = draft.earliest - SLACK
        self._high = draft.time + SLACK

    def mark(self, mark: Mark) -> Leg | None:
        for leg, marks in zip(self.wire.legs, self.wire.marks, strict=True):
            if mark in marks and self._low <= leg.t <= self._high:
                return leg
        return None

    def received(self) -> list[Leg]:
        return [leg for leg in self.wire.legs if not leg.outgoing and self._low <= leg.t <= self._high]


def _received(leg: Leg, kind: str) -> Cause:
    text = f"received {name_of(leg.passage.flags)}"
    return Cause("reset" if kind == "reset" else "segment", text, leg.passage.number)


def _due(due: int, after: int, draft: Draft) -> bool:
    """Whether a transition fits a timer that was set to ``after`` nanoseconds and due at ``due``."""
    late = due + int(after * (_LATE - 1)) + 2 * _JIFFY + SLACK
    return draft.time >= due - _JIFFY and draft.earliest <= late
