"""One endpoint's states in order, from what the kernel's observers and the wire say of it.

The kernel's word makes the frame: the tracepoint's steps, and between and after them the
states that looks showed. Where one state does not follow from the one before, the wire
is asked; where it is silent too, the diagram, if it has one way only. Otherwise the
history says that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
from handshake_lab.reconcile.sockets.traced import FOREVER, SLACK, ObservedSocket, TraceEvent
from handshake_lab.reconcile.states.closed import join_note_2, resolve
from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.reconcile.states.gaps import by_diagram, by_index
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.paths import ways
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import TARDY, TIME_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd
    from handshake_lab.reconcile.sockets.polled import Poll

#: How late TIME-WAIT may end: its timer's lateness and two jiffies of the slowest clock. Nanoseconds.
_TARDINESS = TIME_WAIT // TARDY + 20_000_000


class StateSequence:
    """Builds the transitions of one life.

    Args:
        observed: Whose.
        index: Its segments; empty where nothing was captured.
        captured: Whether the capture watched.
        traced: Whether the tracepoint watched.
        cookies: Whether this host answered SYNs with cookies.
        end: When watching ended.
        pause: Nanoseconds by which what belongs together may be apart.
    """

    def __init__(
        self,
        observed: ObservedSocket,
        index: SegmentIndex,
        *,
        captured: bool,
        traced: bool,
        cookies: bool,
        end: int,
        pause: int = SLACK,
    ) -> None:
        self._observed = observed
        self._index = index
        self._trusted = captured and bool(index.legs) and not index.leaky
        self._traced = traced
        self._cookies = cookies
        self._end = end
        self._pause = pause
        self._state = State.LISTEN if observed.passive else State.CLOSED
        self._at = observed.start
        self.drafts: list[TransitionDraft] = []

    def build(self) -> list[TransitionDraft]:
        """The transitions in order; a passive end's from LISTEN on."""
        observed = self._observed
        events = resolve(observed, self._index, self._pause, trusted=self._trusted)
        for event in events:
            self._take(event)
        self._follow_polls()
        if self._state is State.CLOSED and self.drafts:
            pass
        elif self._watched_on:
            self._hold_against_index()
        else:
            self._go_on_blindly()
        self._mind_the_clock()
        self.drafts = join_note_2(self.drafts, self._index, self._observed.polls, self._pause, trusted=self._trusted)
        self._witness()
        self._straighten()
        return self.drafts

    # The tracepoint.

    def _take(self, event: TraceEvent) -> None:
        if event.old is State.LISTEN and event.new is State.SYN_RECEIVED:
            self._take_request(event)
            return
        if event.old is not self._state:
            for poll in self._polls_between(self._at, event.t):
                if poll.state is not self._state and poll.state is not event.old:
                    self._go(poll.state, poll.since, poll.t, {poll.witness})
            self._go(event.old, self._at, event.t, set())
        draft = TransitionDraft(event.old, event.new, event.t, event.t, {Witness.TRACEPOINT})
        if event.doubt:
            draft.object(event.doubt)
            draft.flaw = "gap" if event.new is State.CLOSED else None
        self._append(draft)

    @property
    def _watched_on(self) -> bool:
        """Whether a kernel observer would have told of any further state.

        Once the tracepoint's socket is closed it tells no more, though a mini-socket goes on.
        """
        traced = self._observed.traced
        if traced is None or traced.ends == FOREVER:
            return bool(traced or self._observed.polls)
        return any(poll.t >= traced.ends - SLACK and (poll.mini or poll.gone) for poll in self._observed.polls)

    def _take_request(self, event: TraceEvent) -> None:
        """The child's first step, at the ACK: the request it came from is older."""
        asked, answered = self._index.first(Mark.SYN_RECEIVED), self._index.first(Mark.SYN_ACK_SENT)
        poll = next((poll for poll in self._observed.polls if poll.state is State.SYN_RECEIVED), None)
        draft = TransitionDraft(event.old, event.new, event.t, event.t, {Witness.TRACEPOINT})
        if poll is None and self._cookies and answered and event.t - answered.t > SLACK:
            draft.leg = next(
                (leg for leg in reversed(self._index.legs) if not leg.outgoing and leg.t <= event.t + SLACK), None
            )
            self._append(draft)
            return
        draft.leg = asked
        if answered and answered.t <= event.t + SLACK:
            draft.time, draft.earliest = answered.t, asked.t if asked else answered.t
            draft.witnesses = {Witness.CAPTURE}
        elif poll and poll.t <= event.t + SLACK:
            draft.time, draft.earliest, draft.witnesses = poll.t, poll.since, {poll.witness}
        if event.t - draft.time <= SLACK:
            draft.witnesses.add(Witness.TRACEPOINT)
        self._append(draft)
        self._at = event.t

    # Looks.

    def _polls_between(self, low: int, high: int) -> Iterable[Poll]:
        return [poll for poll in self._observed.polls if low <= poll.t <= high and not poll.gone]

    def _follow_polls(self) -> None:
        """Go on with the states that looks showed and the tracepoint did not."""
        known = len(self.drafts)
        for poll in self._observed.polls:
            if poll.state is self._state or (known and self._explained(poll)):
                continue
            if poll.t < self._at - SLACK or not ways(self._state, poll.state, passive=self._observed.passive):
                self._object_to(poll)
                continue
            if poll.gone and not self._was_in(poll.seen.state):
                # The look that showed this state was lost; this one remembers it.
                self._go(poll.seen.state, self._at, max(poll.since, self._at), {poll.witness})
            self._go(poll.state, max(poll.since, self._at), max(poll.t, self._at), {poll.witness})

    def _was_in(self, state: State) -> bool:
        return self._state is state or any(state in (draft.old, draft.new) for draft in self.drafts)

    def _explained(self, poll: Poll) -> bool:
        """Whether the history so far has a state at the time of a look, clocks being what they are."""
        if poll.gone:
            return self._state is State.CLOSED
        start = self.drafts[0].old
        entered = -FOREVER
        for draft in [*self.drafts, None]:
            left = draft.earliest if draft else FOREVER
            if start is poll.state and entered <= poll.t + SLACK and left >= poll.since - SLACK:
                return True
            if draft:
                start, entered = draft.new, draft.earliest
        return False

    def _object_to(self, poll: Poll) -> None:
        if self.drafts and not poll.gone:
            at = next((draft for draft in reversed(self.drafts) if draft.time <= poll.t), self.drafts[0])
            since, until = _s(poll.since), _s(poll.t)
            at.object(
                sentence(
                    "other_state_reported", witness=str(poll.witness), state=str(poll.state), since=since, until=until
                )
            )

    # From one state to another.

    def _go(self, target: State, low: int, high: int, witnesses: set[Witness]) -> None:
        """Append the way to a state which the endpoint was in at some time in (low, high]."""
        low = max(low, self._at)
        if target is State.CLOSED and self._never_more_than_a_request():
            self._append(TransitionDraft(self._state, target, high, low, set(witnesses)))
            return
        drafts = by_index(self._index, self._state, target, low, high) if self._trusted else None
        if drafts is None:
            drafts = by_diagram(self._state, target, low, high, passive=self._observed.passive)
        drafts[-1].witnesses |= witnesses
        for draft in drafts:
            if (draft.old, draft.new, target) == (State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSED):
                draft.object(sentence("request_perhaps_refused"))
            self._append(draft)

    def _never_more_than_a_request(self) -> bool:
        """Whether neither the tracepoint told of a full socket nor any look showed one."""
        sighted = self._observed.sighted
        unsettled = sighted is not None and sighted.settled is None
        return self._untraced_child and unsettled and self._state is State.SYN_RECEIVED

    @property
    def _untraced_child(self) -> bool:
        """Whether the tracepoint, which tells of every full socket, told of none that a request became."""
        return self._traced and self._observed.passive and not self._observed.traced

    def _append(self, draft: TransitionDraft) -> None:
        self.drafts.append(draft)
        self._state = draft.new
        self._at = max(self._at, draft.time)

    # The wire.

    def _go_on_blindly(self) -> None:
        """No observer of the kernel can tell of the states from here on: take the wire's account."""
        start = self._at if self._observed.traced else self._observed.start
        for told in self._index.tell(self._state, start - SLACK, self._observed.stop):
            if told.new is State.ESTABLISHED and self._untraced_child and not self._served_without_a_socket(told.leg):
                self._refuse_request(told.leg)
                break
            draft = TransitionDraft(told.old, told.new, told.leg.t, told.leg.t, {Witness.CAPTURE}, told.leg)
            if self._observed.traced:
                draft.object(sentence("derived_from_segments"))
            self._append(draft)
        if not self.drafts:
            return
        last = self.drafts[-1]
        if self._index.leaky:
            last.object(sentence("capture_incomplete"))
            last.flaw = "gap"
        elif not self._observed.traced:
            last.object(sentence("derived_from_segments_alone"))
        elif self._state is not State.TIME_WAIT:
            last.object(sentence("end_unobserved"))
        if self._state is State.TIME_WAIT:
            self._expire()

    def _served_without_a_socket(self, asking: SegmentAtEnd) -> bool:
        """Whether this end goes on after the ACK, though its kernel has no socket: a TCP of a program's own.

        A kernel whose request goes no further sends its SYN-ACK again, or a RST.
        """
        return not self._observed.polls and any(
            leg.outgoing and leg.t > asking.t and not set("SR") & set(leg.segment.flags) and not leg.segment.icmp
            for leg in self._index.legs
        )

    def _refuse_request(self, asking: SegmentAtEnd) -> None:
        """The ACK did not make the request a connection.

        It was dropped if the ACK was answered by a RST (tcp_check_req(), net/ipv4/tcp_minisocks.c).
        """
        answer = next((leg for leg in self._index.legs if leg.outgoing and leg.t >= asking.t), None)
        if answer is not None and "R" in answer.segment.flags:
            self._append(TransitionDraft(self._state, State.CLOSED, answer.t, answer.t, {Witness.CAPTURE}, answer))

    def _expire(self) -> None:
        """TIME-WAIT ends by its timer, which nobody watched; its segments would show any other end."""
        began = max([self._at, *(leg.t for leg in self._index.legs if not leg.outgoing)])
        due = began + TIME_WAIT
        if self._end > due + _TARDINESS:
            self._append(TransitionDraft(State.TIME_WAIT, State.CLOSED, due + _TARDINESS, due, set()))
        elif self._end >= due:
            self.drafts[-1].object(sentence("expiry_unobserved"))

    def _hold_against_index(self) -> None:
        """Object where the wire goes on and the kernel's observers stopped."""
        if not self._trusted or self._state in (State.CLOSED, State.LISTEN) or not self.drafts:
            return
        told = next(iter(self._index.tell(self._state, self._at + SLACK, self._observed.stop)), None)
        # A request need not become a connection at the ACK: the accept queue may be full. Nor does every RST end
        # TIME-WAIT: net.ipv4.tcp_rfc1337.
        if told is not None and (told.old, told.new) not in (
            (State.SYN_RECEIVED, State.ESTABLISHED),
            (State.TIME_WAIT, State.CLOSED),
        ):
            leg = told.leg
            self.drafts[-1].object(
                sentence("segments_contradict_state", number=leg.segment.number, time=_s(leg.t), state=str(told.new))
            )

    def _mind_the_clock(self) -> None:
        """Object where a mini-socket's or a request's timer was due long ago, and nobody looked again."""
        polls = self._observed.polls
        last = polls[-1] if polls else None
        due = last.due if last else None
        if last is None or due is None or last.state is not self._state or not self.drafts:
            return
        late = due + (due - last.t) // TARDY + _TARDINESS
        if (last.mini or last.state is State.SYN_RECEIVED) and self._end > late:
            self.drafts[-1].object(sentence("timer_unobserved", time=_s(due)))

    def _witness(self) -> None:
        """Add the looks, and the segments, to the witnesses of the states they show."""
        for place, draft in enumerate(self.drafts):
            left = self.drafts[place + 1].time if place + 1 < len(self.drafts) else FOREVER
            for poll in self._observed.polls:
                shows = (poll.gone and draft.new is State.CLOSED) or poll.state is draft.new
                if shows and poll.t >= draft.earliest - SLACK and poll.since <= left + SLACK:
                    draft.witnesses.add(poll.witness)

    def _straighten(self) -> None:
        """Let no transition seem to come before the one it follows: clocks differ by less than a state lasts."""
        at = -FOREVER
        for draft in self.drafts:
            draft.time = at = max(at, draft.time)


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.6f}"
