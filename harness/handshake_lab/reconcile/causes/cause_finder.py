"""Finds the cause of each transition: a segment, a system call, or a timer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.causes.context import RunContext, TransitionContext, ended, spell
from handshake_lab.reconcile.causes.endings import end
from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
from handshake_lab.reconcile.sockets.traced import SLACK, ObservedSocket
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import Step, Witness
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.diagram.lookup import edge_of
from handshake_lab.tcp.segment import name_of
from handshake_lab.tcp.sequence_numbers import add
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd
    from handshake_lab.reconcile.states.draft import TransitionDraft

S = State

#: The segment that each transition requires.
_TAKES = {
    (S.LISTEN, S.SYN_RECEIVED): "SYN",
    (S.SYN_SENT, S.SYN_RECEIVED): "SYN",
    (S.SYN_SENT, S.ESTABLISHED): "SYN-ACK",
    (S.SYN_RECEIVED, S.ESTABLISHED): "ACK",
    (S.ESTABLISHED, S.CLOSE_WAIT): "FIN",
    (S.FIN_WAIT_1, S.FIN_WAIT_2): "ACK",
    (S.FIN_WAIT_1, S.CLOSING): "FIN",
    (S.FIN_WAIT_1, S.TIME_WAIT): "FIN-ACK",
    (S.FIN_WAIT_2, S.TIME_WAIT): "FIN",
    (S.CLOSING, S.TIME_WAIT): "ACK",
}


class CauseFinder:
    """Finds the causes of one socket's transitions.

    Args:
        observed: The socket.
        index: Its segments.
        run: The rest of the run.
        after: The first segment between the same addresses that belongs to the next connection.
    """

    def __init__(
        self, observed: ObservedSocket, index: SegmentIndex, run: RunContext, after: SegmentAtEnd | None
    ) -> None:
        self._observed = observed
        self._index = index
        self._run = run
        self._after = after
        self._by_segment: dict[tuple[State, State], tuple[Mark, Callable[[SegmentAtEnd], bool]]] = {
            (S.LISTEN, S.SYN_RECEIVED): (Mark.SYN_RECEIVED, _is_syn),
            (S.SYN_SENT, S.SYN_RECEIVED): (Mark.SYN_RECEIVED, _is_syn),
            (S.SYN_SENT, S.ESTABLISHED): (Mark.SYN_ACKED, index.acknowledges_syn),
            (S.SYN_RECEIVED, S.ESTABLISHED): (Mark.SYN_ACKED, index.acknowledges_syn),
            (S.ESTABLISHED, S.CLOSE_WAIT): (Mark.FIN_RECEIVED, _is_fin),
            (S.FIN_WAIT_1, S.FIN_WAIT_2): (Mark.FIN_ACKED, index.acknowledges_fin),
            (S.FIN_WAIT_1, S.CLOSING): (Mark.FIN_RECEIVED, _is_fin),
            (S.FIN_WAIT_1, S.TIME_WAIT): (Mark.FIN_RECEIVED, _is_fin),
            (S.FIN_WAIT_2, S.TIME_WAIT): (Mark.FIN_RECEIVED, _is_fin),
            (S.CLOSING, S.TIME_WAIT): (Mark.FIN_ACKED, index.acknowledges_fin),
        }

    def assign(self, drafts: Sequence[TransitionDraft]) -> None:
        """Give every transition its cause and its edge."""
        for place, draft in enumerate(drafts):
            if draft.new in (State.CLOSED, State.LISTEN) and draft.old is not State.CLOSED:
                end(TransitionContext(self._observed, self._index, drafts, place, self._run, self._after))
            elif (draft.old, draft.new) in self._by_segment:
                self._received(draft)
            else:
                self._called(draft, drafts[place + 1].time if place + 1 < len(drafts) else self._observed.stop)
            if draft.flaw != "gap":
                draft.edge = edge_of(draft.old, draft.new, draft.why)

    def _received(self, draft: TransitionDraft) -> None:
        mark, fits = self._by_segment[draft.old, draft.new]
        draft.why = Trigger.SEGMENT
        # A sent SYN-ACK shows the request; its cause is the received SYN.
        leg = draft.leg if draft.leg and not draft.leg.outgoing else self._find(draft, mark, fits)
        if leg is None:
            # The transition itself implies which segment was received.
            draft.cause = Cause("segment", sentence("received_uncaptured", what=_TAKES[draft.old, draft.new]))
            return
        if (draft.old, draft.new) == (S.LISTEN, S.SYN_RECEIVED):
            if "A" in leg.segment.flags:
                draft.why = Trigger.NEW_SYN
                draft.cause = Cause("segment", sentence("received_cookie"), leg.segment.number)
                return
            if self._fast_open(draft, leg):
                draft.why = Trigger.DATA
        draft.leg = leg
        draft.witnesses.add(Witness.CAPTURE)
        message = sentence("received", what=name_of(leg.segment.flags))
        if mark is Mark.FIN_RECEIVED and "F" not in leg.segment.flags:
            message = sentence("received_missing_data")
        draft.cause = Cause("segment", message, leg.segment.number)

    def _find(self, draft: TransitionDraft, mark: Mark, fits: Callable[[SegmentAtEnd], bool]) -> SegmentAtEnd | None:
        """The segment of a transition: the first one with the mark, or its latest retransmission."""
        first = self._index.first(mark)
        if first is None:
            # It was received, though not in order by the data before it: the receiver had refused some of them.
            came = [
                leg for leg in self._index.legs if fits(leg) and draft.earliest - SLACK <= leg.t <= draft.time + SLACK
            ]
            return came[-1] if came and mark is Mark.FIN_RECEIVED else None
        if draft.earliest - SLACK <= first.t <= draft.time + SLACK:
            return first
        repeats = [leg for leg in self._index.legs if first.t <= leg.t <= draft.time + SLACK and fits(leg)]
        return repeats[-1] if repeats and not repeats[-1].outgoing else None

    def _fast_open(self, draft: TransitionDraft, leg: SegmentAtEnd) -> bool:
        """Whether a full socket answered the SYN: it also acknowledged the data (tcp_make_synack(), tcp_output.c).

        If its SYN-ACK was not captured: whether the tracepoint reported a full socket at the SYN, not at the ACK.
        """
        syn, answer = leg.segment, self._index.first(Mark.SYN_ACK_SENT)
        if answer is not None:
            return syn.length > 0 and answer.segment.ack == add(syn.seq, 1 + syn.length)
        return syn.length > 0 and Witness.TRACEPOINT in draft.witnesses and abs(draft.time - leg.t) <= SLACK

    def _called(self, draft: TransitionDraft, until: int) -> None:
        draft.why = Trigger.CALL
        if draft.new is State.LISTEN:
            draft.cause = Cause("call", self._call(draft, ("listen",)) or "listen()")
            return
        sends = Mark.SYN_SENT if draft.new is State.SYN_SENT else Mark.FIN_SENT
        leg = draft.leg or self._index.first(sends)
        number = None
        if leg is not None and leg.t <= until + SLACK:
            draft.leg, number = leg, leg.segment.number
            if leg.t <= draft.time + self._run.pause:
                draft.witnesses.add(Witness.CAPTURE)
        message: Message | str
        if draft.new is State.SYN_SENT:
            message = self._call(draft, ("connect", "sendto(MSG_FASTOPEN)", "sendmsg(MSG_FASTOPEN)")) or "connect()"
        else:
            either = sentence("either_call", first="close()", other="shutdown()")
            message = self._call(draft, ("close", "shutdown")) or either
        draft.cause = Cause("call", message, number)

    def _call(self, draft: TransitionDraft, names: Sequence[str]) -> str:
        """The recorded call that caused it; "" if there is none.

        Of the calls in progress at that time, the first one, because a second one has no effect. Otherwise the
        latest that had begun, because shutdown() in SYN-RECEIVED takes effect later (tcp_rcv_state_process()).
        """
        latest: Step | None = None
        steps = self._run.steps_of(self._observed)
        for place, step in enumerate(steps):
            if step.t > draft.time + SLACK:
                break
            if step.phase != "begins" or not step.call.startswith(tuple(names)) or step.call == "shutdown(SHUT_RD)":
                continue
            latest = step
            if ended(steps[place:]) >= draft.earliest - SLACK:
                break
        if latest is None or not (latest.cookie or draft.time - latest.t <= SLACK):
            return ""
        draft.witnesses.add(Witness.APPLICATION)
        return spell(latest)


def _is_syn(leg: SegmentAtEnd) -> bool:
    return not leg.outgoing and "S" in leg.segment.flags


def _is_fin(leg: SegmentAtEnd) -> bool:
    return not leg.outgoing and "F" in leg.segment.flags
