"""Evidence for SYN-RECEIVED: a request has no socket, so the tracepoint does not report when it begins.

The kernel keeps a request as a small structure (struct request_sock) until the ACK arrives; with SYN cookies it keeps
nothing. Polls show requests; otherwise segments show when one began, and whether it became a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
from handshake_lab.reconcile.sockets.traced import SLACK
from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.reconcile.segments.matching import SegmentAtEnd
    from handshake_lab.reconcile.sockets.traced import ObservedSocket, TraceEvent


def beginning(
    event: TraceEvent,
    observed: ObservedSocket,
    index: SegmentIndex,
    *,
    cookies: bool,
    cookie_syns: frozenset[int] = frozenset(),
) -> TransitionDraft:
    """The child's first transition, which is reported at the ACK, although the request was created earlier.

    Args:
        event: The report, from LISTEN to SYN-RECEIVED.
        observed: The socket.
        index: Its segments.
        cookies: Whether this host answered SYNs with cookies.
        cookie_syns: The SYNs that are known to have been answered with cookies, by their numbers.
    """
    asked, answered = index.first(Mark.SYN_RECEIVED), index.first(Mark.SYN_ACK_SENT)
    poll = next((poll for poll in observed.polls if poll.state is State.SYN_RECEIVED), None)
    draft = TransitionDraft(event.old, event.new, event.t, event.t, {Witness.TRACEPOINT})
    known = asked is not None and asked.segment.number in cookie_syns
    if poll is None and cookies and answered and (known or event.t - answered.t > SLACK):
        returned = (
            leg
            for leg in index.legs
            if leg.t <= event.t + SLACK and "R" not in leg.segment.flags and index.acknowledges_syn(leg)
        )
        draft.leg = min(returned, key=lambda leg: abs(leg.t - event.t), default=None)
        return draft
    draft.leg = asked
    if answered and answered.t <= event.t + SLACK:
        draft.time, draft.earliest = answered.t, asked.t if asked else answered.t
        draft.witnesses = {Witness.CAPTURE}
    elif poll and poll.t <= event.t + SLACK:
        draft.time, draft.earliest, draft.witnesses = poll.t, poll.since, {poll.witness}
    if event.t - draft.time <= SLACK:
        draft.witnesses.add(Witness.TRACEPOINT)
    return draft


def is_untraced_child(observed: ObservedSocket, *, traced: bool) -> bool:
    """Whether the tracepoint, which reports every full socket, reported none for this request."""
    return traced and observed.passive and not observed.traced


def is_never_settled(observed: ObservedSocket, *, traced: bool) -> bool:
    """Whether neither the tracepoint nor any poll reported a full socket for this request."""
    polled = observed.polled
    return is_untraced_child(observed, traced=traced) and polled is not None and polled.settled is None


def is_served_without_a_socket(observed: ObservedSocket, index: SegmentIndex, asking: SegmentAtEnd) -> bool:
    """Whether this end sends more than a SYN-ACK or RST after the ACK, although its kernel has no socket for it.

    Then it has a TCP implementation in user space. A kernel that does not complete a request only retransmits
    its SYN-ACK, or sends a RST.
    """
    return not observed.polls and any(
        leg.outgoing and leg.t > asking.t and not set("SR") & set(leg.segment.flags) and not leg.segment.icmp
        for leg in index.legs
    )


def refusal(index: SegmentIndex, asking: SegmentAtEnd) -> TransitionDraft | None:
    """The end of a request that the ACK did not complete; None if the request continues to exist.

    The request was dropped if the ACK was answered by a RST (tcp_check_req(), net/ipv4/tcp_minisocks.c).
    """
    answer = next((leg for leg in index.legs if leg.outgoing and leg.t >= asking.t), None)
    if answer is None or "R" not in answer.segment.flags:
        return None
    return TransitionDraft(State.SYN_RECEIVED, State.CLOSED, answer.t, answer.t, {Witness.CAPTURE}, answer)
