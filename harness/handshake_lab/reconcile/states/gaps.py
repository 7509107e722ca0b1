"""From one state that was seen to another: what the wire tells of the way, or the diagram."""

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

#: What the wire shows nothing of: a call whose FIN has not left.
_SILENT = {State.ESTABLISHED: State.FIN_WAIT_1, State.CLOSE_WAIT: State.LAST_ACK}
#: How many of several ways are told.
_TOLD = 3


def by_index(index: SegmentIndex, state: State, target: State, low: int, high: int) -> list[TransitionDraft] | None:
    """The way that the segments in an interval tell; None where they do not lead there.

    What happens without a segment, such as a timer's end, may come at the end of the way.

    Args:
        index: A trustworthy account of the endpoint's segments.
        state: Where the way begins.
        target: Where it must lead.
        low: The interval's beginning, in nanoseconds.
        high: Its end, when the endpoint was seen in ``target``.
    """
    drafts: list[TransitionDraft] = []
    for told in index.tell(state, low - SLACK, high + SLACK):
        at = min(max(told.leg.t, low), high)
        drafts.append(TransitionDraft(told.old, told.new, at, at, {Witness.CAPTURE}, told.leg))
        if told.new is target:
            return drafts
    if drafts:
        state = drafts[-1].new
        if state is State.TIME_WAIT and target is State.CLOSED and high - drafts[-1].time < TIME_WAIT - SLACK:
            drafts[-1].new = State.CLOSED  # it was gone sooner than TIME-WAIT ends: it never was
            return drafts
    if target is State.CLOSED or _SILENT.get(state) is target:
        return [*drafts, TransitionDraft(state, target, high, max(low, drafts[-1].time) if drafts else low, set())]
    return None


def by_diagram(state: State, target: State, low: int, high: int, *, passive: bool) -> list[TransitionDraft]:
    """The only way the diagram has; where it has several or none, a gap that says so."""
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
    """That any of several ways may have been taken, or that there is none."""
    if not found:
        return sentence("no_path")
    first, *others = ("→".join((state, *way)) for way in found[:_TOLD])
    shown: Message | str = first
    for other in others:
        shown = sentence("or_path", first=shown, other=other)
    more = len(found) - _TOLD
    return (
        sentence("path_unobserved_more", ways=shown, count=more)
        if more > 0
        else sentence("path_unobserved", ways=shown)
    )
