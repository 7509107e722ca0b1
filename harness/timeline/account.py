"""One endpoint's states in order, from what the kernel's observers and the wire say of it.

The kernel's word makes the frame: the tracepoint's steps, and between and after them the
states that looks showed. Where one state does not follow from the one before, the wire
is asked; where it is silent too, the diagram, if it has one way only. Otherwise the
history says that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.tcp.states import State
from harness.timeline.closes import resolve
from harness.timeline.drafts import Draft
from harness.timeline.lives import FOREVER, SLACK, Event, Life
from harness.timeline.observations import Witness
from harness.timeline.ways import ways
from harness.timeline.wire import Mark, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.timeline.sightings import Look

#: What the wire needs no segment for: a call whose FIN has not left, a timer, an abort.
_SILENT = {
    State.ESTABLISHED: State.FIN_WAIT_1,
    State.CLOSE_WAIT: State.LAST_ACK,
}
#: Sixty seconds (TCP_TIMEWAIT_LEN, include/net/tcp.h), less what clocks may differ by.
_TIME_WAIT = 60_000_000_000 - SLACK


class Account:
    """Builds the transitions of one life.

    Args:
        life: Whose.
        wire: Its segments; empty where nothing was captured.
        captured: Whether the capture watched.
        cookies: Whether this host answered SYNs with cookies.
    """

    def __init__(self, life: Life, wire: Wire, *, captured: bool, cookies: bool) -> None:
        self._life = life
        self._wire = wire
        self._trusted = captured and bool(wire.legs) and not wire.leaky
        self._cookies = cookies
        self._state = State.LISTEN if life.passive else State.CLOSED
        self._at = life.start
        self.drafts: list[Draft] = []

    def build(self) -> list[Draft]:
        """The transitions in order; a passive end's from LISTEN on."""
        life = self._life
        events = resolve(life, self._wire, trusted=self._trusted)
        self._told = [(event.old, event.new, event.t) for event in events]
        for event in events:
            self._take(event)
        self._follow_looks()
        if not (life.events or life.looks):
            self._follow_wire()
        else:
            self._hold_against_wire()
        self._witness()
        self._straighten()
        return self.drafts

    # The tracepoint.

    def _take(self, event: Event) -> None:
        if event.old is State.LISTEN and event.new is State.SYN_RECEIVED:
            self._take_request(event)
            return
        if event.old is not self._state:
            for look in self._looks_between(self._at, event.t):
                if look.state is not self._state and look.state is not event.old:
                    self._go(look.state, look.since, look.t, {look.witness})
            self._go(event.old, self._at, event.t, set())
        self._append(Draft(event.old, event.new, event.t, event.t, {Witness.TRACEPOINT}))

    def _take_request(self, event: Event) -> None:
        """The child's first step, at the ACK: the request it came from is older."""
        asked, answered = self._wire.first(Mark.SYN_RECEIVED), self._wire.first(Mark.SYN_ACK_SENT)
        look = next((look for look in self._life.looks if look.state is State.SYN_RECEIVED), None)
        draft = Draft(event.old, event.new, event.t, event.t, {Witness.TRACEPOINT})
        if look is None and self._cookies and answered and event.t - answered.t > SLACK:
            draft.leg = next(
                (leg for leg in reversed(self._wire.legs) if not leg.outgoing and leg.t <= event.t + SLACK), None
            )
            self._append(draft)
            return
        draft.leg = asked
        if answered and answered.t <= event.t + SLACK:
            draft.time, draft.earliest = answered.t, asked.t if asked else answered.t
            draft.witnesses = {Witness.CAPTURE}
        elif look and look.t <= event.t + SLACK:
            draft.time, draft.earliest, draft.witnesses = look.t, look.since, {look.witness}
        if event.t - draft.time <= SLACK:
            draft.witnesses.add(Witness.TRACEPOINT)
        self._append(draft)
        self._at = event.t

    # Looks.

    def _looks_between(self, low: int, high: int) -> Iterable[Look]:
        return [look for look in self._life.looks if low <= look.t <= high and not look.gone]

    def _follow_looks(self) -> None:
        """Go on with the states that looks showed and the tracepoint did not."""
        known = len(self.drafts)
        for look in self._life.looks:
            if look.state is self._state or (known and self._explained(look)):
                continue
            if look.t < self._at - SLACK:
                self._object_to(look)
                continue
            self._go(look.state, max(look.since, self._at), max(look.t, self._at), {look.witness})

    def _explained(self, look: Look) -> bool:
        """Whether the history so far has a state at the time of a look, clocks being what they are."""
        if look.gone:
            return self._state is State.CLOSED
        start = self.drafts[0].old
        entered = -FOREVER
        for draft in [*self.drafts, None]:
            left = draft.earliest if draft else FOREVER
            if start is look.state and entered <= look.t + SLACK and left >= look.since - SLACK:
                return True
            if draft:
                start, entered = draft.new, draft.earliest
        return False

    def _object_to(self, look: Look) -> None:
        if self.drafts and not look.gone:
            at = next((draft for draft in reversed(self.drafts) if draft.time <= look.t), self.drafts[0])
            at.object(f"{look.witness} showed {look.state} between {_s(look.since)} and {_s(look.t)}")

    # From one state to another.

    def _go(self, target: State, low: int, high: int, witnesses: set[Witness]) -> None:
        """Append the way to a state which the endpoint was in at some time in (low, high]."""
        low = max(low, self._at)
        drafts = self._by_wire(target, low, high) if self._trusted else None
        if drafts is None:
            drafts = self._by_diagram(target, low, high)
        drafts[-1].witnesses |= witnesses
        for draft in drafts:
            self._append(draft)

    def _by_wire(self, target: State, low: int, high: int) -> list[Draft] | None:
        """The way that the segments in the interval tell; None where they do not lead there."""
        drafts: list[Draft] = []
        state = self._state
        for told in self._wire.tell(state, low - SLACK, high + SLACK):
            at = min(max(told.leg.t, low), high)
            drafts.append(Draft(told.old, told.new, at, at, {Witness.CAPTURE}, told.leg))
            state = told.new
            if state is target:
                return drafts
        if state is State.TIME_WAIT and target is State.CLOSED and drafts and high - drafts[-1].time < _TIME_WAIT:
            drafts[-1].new = State.CLOSED  # it was gone sooner than TIME-WAIT ends: it never was
            return drafts
        if target is State.CLOSED or _SILENT.get(state) is target:
            start = max(low, drafts[-1].time if drafts else low)
            return [*drafts, Draft(state, target, high, start, set())]
        return None

    def _by_diagram(self, target: State, low: int, high: int) -> list[Draft]:
        """The only way the diagram has; else a gap."""
        found = ways(self._state, target, passive=self._life.passive)
        if len(found) != 1:
            draft = Draft(self._state, target, high, low, set(), flaw="gap")
            shown = " or ".join("→".join((self._state, *way)) for way in found[:3])
            more = f" or {len(found) - 3} other ways" if len(found) > 3 else ""
            draft.object(f"nobody saw how it came here: {shown}{more}" if found else "no way leads here")
            return [draft]
        drafts = []
        state = self._state
        for reached in found[0]:
            drafts.append(Draft(state, reached, high, low, set(), inferred=reached is not target))
            state = reached
        return drafts

    def _append(self, draft: Draft) -> None:
        self.drafts.append(draft)
        self._state = draft.new
        self._at = max(self._at, draft.time)

    # The wire.

    def _follow_wire(self) -> None:
        """No observer of the kernel watched: take the wire's account for it."""
        for told in self._wire.tell(self._state, self._life.start - SLACK, self._life.stop):
            draft = Draft(told.old, told.new, told.leg.t, told.leg.t, {Witness.CAPTURE}, told.leg)
            self._append(draft)
        if self._wire.leaky and self.drafts:
            self.drafts[-1].object("the capture missed segments of this connection: its states may be others")
            self.drafts[-1].flaw = "gap"

    def _hold_against_wire(self) -> None:
        """Object where the wire goes on and the kernel's observers stopped."""
        if not self._trusted or self._state in (State.CLOSED, State.LISTEN, State.SYN_RECEIVED) or not self.drafts:
            return
        told = next(iter(self._wire.tell(self._state, self._at + SLACK, self._life.stop)), None)
        if told is not None:
            self.drafts[-1].object(
                f"by segment {told.leg.passage.number} at {_s(told.leg.t)} it should have become {told.new}, "
                "which no observer of the kernel showed"
            )

    def _witness(self) -> None:
        """Add the looks, and the segments, to the witnesses of the states they show."""
        for place, draft in enumerate(self.drafts):
            left = self.drafts[place + 1].time if place + 1 < len(self.drafts) else FOREVER
            for look in self._life.looks:
                shows = (look.gone and draft.new is State.CLOSED) or look.state is draft.new
                if shows and look.t >= draft.earliest - SLACK and look.since <= left + SLACK:
                    draft.witnesses.add(look.witness)

    def _straighten(self) -> None:
        """Let no transition seem to come before the one it follows: clocks differ by less than a state lasts."""
        at = -FOREVER
        for draft in self.drafts:
            draft.time = at = max(at, draft.time)
            if draft.witnesses:
                draft.inferred = False


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.6f} s"
