"""The states of one endpoint in order, by the kernel's observers and its segments.

The kernel's observers come first: the tracepoint's transitions, and the polled states between and after
them. If a state does not follow from the one before, the segments decide; if they do not show it either,
the diagram, if it has only one path. Otherwise the history has a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import FOREVER, SLACK, ObservedSocket, TraceEvent
from handshake_lab.reconcile.states import syn_received, time_wait
from handshake_lab.reconcile.states.closed import join_note_2, resolve
from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.reconcile.states.gaps import by_diagram, by_index
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.paths import ways
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import LATENESS_DIVISOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.reconcile.segments.segment_index import SegmentIndex
    from handshake_lab.reconcile.sockets.polled import Poll


class StateSequence:
    """Builds the transitions of one socket.

    Args:
        observed: The socket.
        index: Its segments; empty if nothing was captured.
        captured: Whether there was a capture.
        traced: Whether the tracepoint was available.
        cookies: Whether this host answered SYNs with cookies.
        cookie_syns: The SYNs that are known to have been answered so, by their numbers.
        end: When the recording ended.
        pause: Nanoseconds that may pass between observations of the same event.
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
        cookie_syns: frozenset[int] = frozenset(),
    ) -> None:
        self._observed = observed
        self._index = index
        self._trusted = captured and bool(index.legs) and not index.leaky
        self._traced = traced
        self._cookies = cookies
        self._cookie_syns = cookie_syns
        self._end = end
        self._pause = pause
        self._state = State.LISTEN if observed.passive else State.CLOSED
        self._at = observed.start
        self.drafts: list[TransitionDraft] = []

    def build(self) -> list[TransitionDraft]:
        """The transitions in order; those of a passive end from LISTEN."""
        observed = self._observed
        events = resolve(observed, self._index, self._pause, trusted=self._trusted)
        for event in events:
            self._take(event)
        self._follow_polls()
        if self._state is State.CLOSED and self.drafts:
            pass
        elif self._would_be_reported:
            self._compare_with_segments()
        else:
            self._continue_by_segments()
        self._check_timers()
        self.drafts = join_note_2(self.drafts, self._index, self._observed.polls, self._pause, trusted=self._trusted)
        self._witness()
        self._order_times()
        return self.drafts

    # The tracepoint.

    def _take(self, event: TraceEvent) -> None:
        if event.old is State.LISTEN and event.new is State.SYN_RECEIVED:
            draft = syn_received.beginning(
                event, self._observed, self._index, cookies=self._cookies, cookie_syns=self._cookie_syns
            )
            self._append(draft)
            self._at = event.t
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
    def _would_be_reported(self) -> bool:
        """Whether a kernel observer would have reported any further state.

        After CLOSED the tracepoint reports nothing, although a mini-socket may continue.
        """
        traced = self._observed.traced
        if traced is None or traced.ends == FOREVER:
            return bool(traced or self._observed.polls)
        return any(poll.t >= traced.ends - SLACK and (poll.mini or poll.gone) for poll in self._observed.polls)

    # Polls.

    def _polls_between(self, low: int, high: int) -> Iterable[Poll]:
        return [poll for poll in self._observed.polls if low <= poll.t <= high and not poll.gone]

    def _follow_polls(self) -> None:
        """Add the polled states that the tracepoint did not report."""
        known = len(self.drafts)
        for poll in self._observed.polls:
            if poll.state is self._state or (known and self._explained(poll)):
                continue
            if poll.t < self._at - SLACK or not ways(self._state, poll.state, passive=self._observed.passive):
                self._object_to(poll)
                continue
            if poll.gone and not self._was_in(poll.seen.state):
                # The poll with this state was lost; this one refers to it.
                self._go(poll.seen.state, self._at, max(poll.since, self._at), {poll.witness})
            self._go(poll.state, max(poll.since, self._at), max(poll.t, self._at), {poll.witness})

    def _was_in(self, state: State) -> bool:
        return self._state is state or any(state in (draft.old, draft.new) for draft in self.drafts)

    def _explained(self, poll: Poll) -> bool:
        """Whether the history has the polled state at the time of a poll, within clock tolerance."""
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
        """Append the path to a state in which the endpoint was at some time in (low, high]."""
        low = max(low, self._at)
        if (target, self._state) == (State.CLOSED, State.SYN_RECEIVED) and syn_received.is_never_settled(
            self._observed, traced=self._traced
        ):
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

    def _append(self, draft: TransitionDraft) -> None:
        self.drafts.append(draft)
        self._state = draft.new
        self._at = max(self._at, draft.time)

    # Segments.

    def _continue_by_segments(self) -> None:
        """Continue by the segments: no kernel observer can report the states from here on."""
        start = self._at if self._observed.traced else self._observed.start
        for implied in self._index.implied(self._state, start - SLACK, self._observed.stop):
            if (
                implied.new is State.ESTABLISHED
                and syn_received.is_untraced_child(self._observed, traced=self._traced)
                and not syn_received.is_served_without_a_socket(self._observed, self._index, implied.leg)
            ):
                if refused := syn_received.refusal(self._index, implied.leg):
                    self._append(refused)
                break
            draft = TransitionDraft(
                implied.old, implied.new, implied.leg.t, implied.leg.t, {Witness.CAPTURE}, implied.leg
            )
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

    def _expire(self) -> None:
        due = time_wait.due(self._index, self._at)
        if draft := time_wait.expiry(due, self._end):
            self._append(draft)
        elif self._end >= due:
            self.drafts[-1].object(sentence("expiry_unobserved"))

    def _compare_with_segments(self) -> None:
        """Object if a received segment implies a further transition that no kernel observer reported.

        A RST that this end sent need not be its socket's: a packet filter may have sent it.
        """
        if not self._trusted or self._state in (State.CLOSED, State.LISTEN) or not self.drafts:
            return
        implied = next(iter(self._index.implied(self._state, self._at + SLACK, self._observed.stop)), None)
        # A request need not become a connection at the ACK: the accept queue may be full. Nor does every RST end
        # TIME-WAIT: net.ipv4.tcp_rfc1337.
        if implied is not None and (implied.old, implied.new) not in (
            (State.SYN_RECEIVED, State.ESTABLISHED),
            (State.TIME_WAIT, State.CLOSED),
        ):
            leg = implied.leg
            if leg.outgoing:
                return
            self.drafts[-1].object(
                sentence("segments_contradict_state", number=leg.segment.number, time=_s(leg.t), state=str(implied.new))
            )

    def _check_timers(self) -> None:
        """Object if the timer of a mini-socket or request must have expired, and no later poll shows the result."""
        polls = self._observed.polls
        last = polls[-1] if polls else None
        due = last.due if last else None
        if last is None or due is None or last.state is not self._state or not self.drafts:
            return
        late = due + (due - last.t) // LATENESS_DIVISOR + time_wait.ALLOWED_LATENESS
        if (last.mini or last.state is State.SYN_RECEIVED) and self._end > late:
            self.drafts[-1].object(sentence("timer_unobserved", time=_s(due)))

    def _witness(self) -> None:
        """Add polls to the witnesses of the states that they returned."""
        for place, draft in enumerate(self.drafts):
            left = self.drafts[place + 1].time if place + 1 < len(self.drafts) else FOREVER
            for poll in self._observed.polls:
                shows = (poll.gone and draft.new is State.CLOSED) or poll.state is draft.new
                if shows and poll.t >= draft.earliest - SLACK and poll.since <= left + SLACK:
                    draft.witnesses.add(poll.witness)

    def _order_times(self) -> None:
        """Order the times of transitions: by the clocks of different observers, one may precede its predecessor."""
        at = -FOREVER
        for draft in self.drafts:
            draft.time = at = max(at, draft.time)


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.6f}"
