"""The path from one observed state to another, by the segments or by the diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import SLACK
from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.paths import ways
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import TIME_WAIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.reconcile.segments.segment_index import SegmentIndex

#: Transitions without a segment: a call whose FIN has not been sent.
_SILENT = {State.ESTABLISHED: State.FIN_WAIT_1, State.CLOSE_WAIT: State.LAST_ACK}
#: The number of possible paths that an objection lists.
_LISTED = 3


def by_index(index: SegmentIndex, state: State, target: State, low: int, high: int) -> list[TransitionDraft] | None:
    """The path by the segments in an interval; None if they do not lead to the target.

    A transition without a segment, such as by a timer, may be the last one.

    Args:
        index: The endpoint's segments, which must be complete.
        state: Where the path begins.
        target: Where it must end.
        low: The interval's beginning, in nanoseconds.
        high: Its end, when the endpoint was observed in ``target``.
    """
    drafts: list[TransitionDraft] = []
    for implied in index.implied(state, low - SLACK, high + SLACK):
        at = min(max(implied.leg.t, low), high)
        drafts.append(TransitionDraft(implied.old, implied.new, at, at, {Witness.CAPTURE}, implied.leg))
        if implied.new is target:
            return drafts
    if drafts:
        state = drafts[-1].new
        if state is State.TIME_WAIT and target is State.CLOSED and high - drafts[-1].time < TIME_WAIT - SLACK:
            drafts[-1].new = State.CLOSED  # it was gone earlier than TIME-WAIT can end: it was not in TIME-WAIT
            return drafts
    if target is State.CLOSED or _SILENT.get(state) is target:
        return [*drafts, TransitionDraft(state, target, high, max(low, drafts[-1].time) if drafts else low, set())]
    return None


def by_diagram(state: State, target: State, low: int, high: int, *, passive: bool) -> list[TransitionDraft]:
    """The path by the diagram if there is only one; otherwise a gap with an objection."""
    found = ways(state, target, passive=passive)
    if len(found) != 1:
        draft = TransitionDraft(state, target, high, low, set(), flaw="gap")
        draft.object(_unknown(state, found))
        return [draft]
    drafts = []
    for reached in found[0]:
        drafts.append(TransitionDraft(state, reached, high, low, set()))
        state = reached
    return drafts


def _unknown(state: State, found: Sequence[Sequence[State]]) -> Message:
    """The objection that several paths are possible, or none."""
    if not found:
        return sentence("no_path")
    first, *others = ("→".join((state, *way)) for way in found[:_LISTED])
    shown: Message | str = first
    for other in others:
        shown = sentence("or_path", first=shown, other=other)
    more = len(found) - _LISTED
    return (
        sentence("path_unobserved_more", ways=shown, count=more)
        if more > 0
        else sentence("path_unobserved", ways=shown)
    )
