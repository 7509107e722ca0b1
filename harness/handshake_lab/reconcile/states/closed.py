"""What the tracepoint means by CLOSED.

It says so for three things (net/ipv4/tcp_minisocks.c, tcp_time_wait(), ends in
tcp_done()): the connection is over; a mini-socket in TIME-WAIT takes over; a mini-socket
in FIN-WAIT-2 takes over, because the program has closed and the FIN is yet to come.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.segment_index import Mark, Wire
from handshake_lab.reconcile.sockets.traced import SLACK, Event, Life
from handshake_lab.recording.messages import Said, say
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.reconcile.sockets.polled import Look
    from handshake_lab.reconcile.states.draft import Draft


def resolve(life: Life, wire: Wire, pause: int = SLACK, *, trusted: bool) -> list[Event]:
    """The tracepoint's steps, with each CLOSED replaced by what it stands for.

    A step to CLOSED that means FIN-WAIT-2 goes on is left out.
    """
    steps: list[Event] = []
    for event in life.events:
        if event.new is not State.CLOSED or event.old not in (State.FIN_WAIT_2, State.CLOSING):
            steps.append(event)
            continue
        meant, doubt = _meant(event, life, wire, pause, trusted=trusted)
        if meant is not State.FIN_WAIT_2:
            steps.append(event._replace(new=meant, doubt=doubt))
    return steps


def _meant(event: Event, life: Life, wire: Wire, pause: int, *, trusted: bool) -> tuple[State, Said | None]:
    """What a CLOSED stands for, and what doubt is left."""
    later = [look for look in life.looks if look.t >= event.t - SLACK]
    shown = _shown(event, later)
    if shown is not State.TIME_WAIT and shown is not None:
        return shown, None
    reset = _reset(wire, event.t, pause)
    ending = Mark.FIN_RECEIVED if event.old is State.FIN_WAIT_2 else Mark.FIN_ACKED
    ended = wire.first(ending)
    if shown is State.TIME_WAIT:
        # It is there later; if its FIN came later too, an orphan in FIN-WAIT-2 came first.
        orphan = event.old is State.FIN_WAIT_2 and trusted and ended is not None and ended.t > event.t + SLACK
        return State.FIN_WAIT_2 if orphan else State.TIME_WAIT, None
    if not trusted:
        return State.CLOSED, say("closed_unclear")
    if reset:
        return State.CLOSED, None
    if ended is not None and ended.t <= event.t + SLACK:
        return State.TIME_WAIT, say("time_wait_unseen")
    return (State.FIN_WAIT_2 if event.old is State.FIN_WAIT_2 else State.CLOSED), None


def _shown(event: Event, later: list[Look]) -> State | None:
    """What looks after it show; None where nobody looked."""
    for look in later:
        if look.gone:
            return State.CLOSED if look.seen.state is not State.TIME_WAIT else State.TIME_WAIT
        if look.state is State.TIME_WAIT:
            return State.TIME_WAIT
        if look.state is State.FIN_WAIT_2 and look.mini and event.old is State.FIN_WAIT_2:
            return State.FIN_WAIT_2
    return None


def _reset(wire: Wire, t: int, pause: int) -> bool:
    """Whether a RST arrived right before, or left right after."""
    marked = list(zip(wire.legs, wire.marks, strict=True))
    arrived = any(Mark.RST_RECEIVED in marks and t - pause <= leg.t <= t + SLACK for leg, marks in marked)
    return arrived or any(Mark.RST_SENT in marks and t - SLACK <= leg.t <= t + pause for leg, marks in marked)


def join_note_2(
    drafts: list[Draft], wire: Wire, looks: list[Look], pause: int = SLACK, *, trusted: bool
) -> list[Draft]:
    """Make one step of FIN-WAIT-1→FIN-WAIT-2→TIME-WAIT where one segment took both: Figure 5's note 2.

    The kernel sets FIN-WAIT-2 on the way (tcp_rcv_state_process(), net/ipv4/tcp_input.c),
    and the tracepoint tells of it. A FIN-WAIT-2 that a look has shown was no such passing moment.
    """
    acknowledged, received = wire.first(Mark.FIN_ACKED), wire.first(Mark.FIN_RECEIVED)
    known = trusted and acknowledged is not None and received is not None
    if known and acknowledged is not received:
        return drafts
    for place, (before, after) in enumerate(pairwise(drafts)):
        if (
            (before.old, before.new, after.new) == (State.FIN_WAIT_1, State.FIN_WAIT_2, State.TIME_WAIT)
            and after.flaw is None
            and not any(look.state is State.FIN_WAIT_2 and not look.gone and look.t <= after.time for look in looks)
            and (after.time - before.time <= pause or not before.witnesses)
        ):
            if not known:
                before.object(say("one_segment_perhaps"))
                return drafts
            after.old = State.FIN_WAIT_1
            return [*drafts[:place], *drafts[place + 1 :]]
    return drafts
