"""What CLOSED means in the tracepoint.

It is reported in three cases (net/ipv4/tcp_minisocks.c, tcp_time_wait(), ends in tcp_done()): the
connection is closed; a mini-socket in TIME-WAIT replaces the socket; a mini-socket in FIN-WAIT-2 replaces
it, because the program has closed it and the peer's FIN has not arrived.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
from handshake_lab.reconcile.sockets.traced import SLACK, ObservedSocket, TraceEvent
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.reconcile.sockets.polled import Poll
    from handshake_lab.reconcile.states.draft import TransitionDraft


def resolve(observed: ObservedSocket, index: SegmentIndex, pause: int = SLACK, *, trusted: bool) -> list[TraceEvent]:
    """The tracepoint's transitions, with each CLOSED replaced by the state that it means.

    A transition to CLOSED that means a continued FIN-WAIT-2 is omitted.
    """
    steps: list[TraceEvent] = []
    for event in observed.events:
        if event.new is not State.CLOSED or event.old not in (State.FIN_WAIT_2, State.CLOSING):
            steps.append(event)
            continue
        meant, doubt = _meant(event, observed, index, pause, trusted=trusted)
        if meant is not State.FIN_WAIT_2:
            steps.append(event._replace(new=meant, doubt=doubt))
    return steps


def _meant(
    event: TraceEvent, observed: ObservedSocket, index: SegmentIndex, pause: int, *, trusted: bool
) -> tuple[State, Message | None]:
    """The state that CLOSED means, and the remaining doubt."""
    later = [poll for poll in observed.polls if poll.t >= event.t - SLACK]
    shown = _shown(event, later)
    if shown is not State.TIME_WAIT and shown is not None:
        return shown, None
    reset = _reset(index, event.t, pause)
    ending = Mark.FIN_RECEIVED if event.old is State.FIN_WAIT_2 else Mark.FIN_ACKED
    ended = index.first(ending)
    if shown is State.TIME_WAIT:
        # TIME-WAIT was polled later; if the FIN arrived later too, it was FIN-WAIT-2 of an orphan at first.
        orphan = event.old is State.FIN_WAIT_2 and trusted and ended is not None and ended.t > event.t + SLACK
        return State.FIN_WAIT_2 if orphan else State.TIME_WAIT, None
    if not trusted:
        return State.CLOSED, sentence("closed_ambiguous")
    if reset:
        return State.CLOSED, None
    if ended is not None and ended.t <= event.t + SLACK:
        return State.TIME_WAIT, sentence("time_wait_unobserved")
    return (State.FIN_WAIT_2 if event.old is State.FIN_WAIT_2 else State.CLOSED), None


def _shown(event: TraceEvent, later: list[Poll]) -> State | None:
    """The state in later polls; None if there are none."""
    for poll in later:
        if poll.gone:
            return State.CLOSED if poll.seen.state is not State.TIME_WAIT else State.TIME_WAIT
        if poll.state is State.TIME_WAIT:
            return State.TIME_WAIT
        if poll.state is State.FIN_WAIT_2 and poll.mini and event.old is State.FIN_WAIT_2:
            return State.FIN_WAIT_2
    return None


def _reset(index: SegmentIndex, t: int, pause: int) -> bool:
    """Whether a RST was received immediately before, or sent immediately after."""
    marked = list(zip(index.legs, index.marks, strict=True))
    arrived = any(Mark.RST_RECEIVED in marks and t - pause <= leg.t <= t + SLACK for leg, marks in marked)
    return arrived or any(Mark.RST_SENT in marks and t - SLACK <= leg.t <= t + pause for leg, marks in marked)


def join_note_2(
    drafts: list[TransitionDraft], index: SegmentIndex, polls: list[Poll], pause: int = SLACK, *, trusted: bool
) -> list[TransitionDraft]:
    """Join FIN-WAIT-1→FIN-WAIT-2→TIME-WAIT to one transition if one segment caused both: Figure 5's note 2.

    The kernel sets FIN-WAIT-2 in between (tcp_rcv_state_process(), net/ipv4/tcp_input.c), and the
    tracepoint reports it. A FIN-WAIT-2 that a poll returned lasted longer than that.
    """
    acknowledged, received = index.first(Mark.FIN_ACKED), index.first(Mark.FIN_RECEIVED)
    # If only this end's own ACK shows the FIN, the segment that brought it in order may not have been captured.
    known = trusted and acknowledged is not None and received is not None and not received.outgoing
    if known and acknowledged is not received:
        return drafts
    for place, (before, after) in enumerate(pairwise(drafts)):
        if (
            (before.old, before.new, after.new) == (State.FIN_WAIT_1, State.FIN_WAIT_2, State.TIME_WAIT)
            and after.flaw is None
            and not any(poll.state is State.FIN_WAIT_2 and not poll.gone and poll.t <= after.time for poll in polls)
            and (after.time - before.time <= pause or not before.witnesses)
        ):
            if not known:
                before.object(sentence("perhaps_one_segment"))
                return drafts
            after.old = State.FIN_WAIT_1
            return [*drafts[:place], *drafts[place + 1 :]]
    return drafts
