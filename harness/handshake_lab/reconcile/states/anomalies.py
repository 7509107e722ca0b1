"""Where the kernel's report contradicts the captured segments."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
from handshake_lab.reconcile.sockets.traced import SLACK
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from handshake_lab.reconcile.segments.matching import MatchedSegments
    from handshake_lab.reconcile.sockets.traced import ObservedSocket
    from handshake_lab.reconcile.states.draft import TransitionDraft
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.recording.observations import TcpEvent
    from handshake_lab.tcp.address import Address

_MEANS_A_FIN = (State.FIN_WAIT_1, State.LAST_ACK)


class Anomalies:
    """Segments that were captured at one end only, so that the capture shows less about that end.

    Args:
        segments: All of the run.
    """

    def __init__(self, segments: Iterable[TransmittedSegment]) -> None:
        self._unsent: set[tuple[Address, Address]] = set()
        self._strayed: dict[tuple[Address, Address], list[int]] = defaultdict(list)
        for segment in segments:
            if segment.sent is None:
                if segment.copies is None:
                    self._unsent.add((segment.src, segment.dst))
            elif segment.received is None and "R" in segment.flags:
                source, target = segment.arriving
                self._strayed[target, source].append(segment.sent)

    def mark(self, observed: ObservedSocket) -> None:
        """Set the anomalies of a socket."""
        observed.uncaptured = (observed.local, observed.remote) in self._unsent
        observed.lost_resets = self._strayed.get((observed.local, observed.remote), [])


def object_to_unsent_fins(drafts: Sequence[TransitionDraft], index: SegmentIndex) -> None:
    """Object to transitions that mean a sent FIN if the FIN was only queued.

    Linux changes the state when close() or shutdown() queues the FIN, even if the peer's window is closed
    (net/ipv4/tcp.c, the comment "RED-PEN" in __tcp_close()). Until the FIN is sent, the connection is still
    ESTABLISHED or CLOSE-WAIT by RFC 9293, and for the peer.
    """
    if not index.legs:
        return
    sent = index.first(Mark.FIN_SENT)
    for place, draft in enumerate(drafts):
        if draft.new not in _MEANS_A_FIN:
            continue
        after = drafts[place + 1] if place + 1 < len(drafts) else None
        if after is None and sent is None:
            _contradict(draft, "fin_never_sent")
        elif after is not None and (sent is None or sent.t > after.time + SLACK):
            _contradict(draft, "fin_unsent")
            if after.new in (State.CLOSING, State.FIN_WAIT_2):
                _contradict(after, "fin_unsent_close_wait")


def _contradict(draft: TransitionDraft, code: str) -> None:
    if draft.flaw is None:  # a state that was not observed cannot contradict
        draft.object(sentence(code, state=str(draft.new)))
        draft.flaw = "contradiction"


def resets_not_received(
    events: Iterable[TcpEvent],
    traffic: MatchedSegments,
    nodes: Nodes,
    all_observed: Iterable[ObservedSocket],
    pause: int = SLACK,
    blurred: Container[str] = (),
) -> list[Message]:
    """Objections to ``tcp_receive_reset`` events without a received RST.

    Linux resets itself with tcp_reset(), which fires that tracepoint, when data arrives
    after close() (tcp_rcv_state_process(), net/ipv4/tcp_input.c). Tracepoints have no namespace:
    a socket with a cookie that no socket of this run has belongs to another run on the same kernel. If a
    node's capture lost segments (``blurred``), a RST may have been received nevertheless.
    """
    objections: list[Message] = []
    cookies: dict[tuple[Address, Address], set[int]] = defaultdict(set)
    for observed in all_observed:
        cookies[observed.local, observed.remote].add(observed.cookie)
    for event in events:
        if event.name != "tcp_receive_reset":
            continue
        ours = cookies[event.local, event.remote]
        if event.cookie and ours and not ours & {0, event.cookie}:
            continue
        node = nodes.of(event.local.ip)
        legs = traffic.legs.get((node, event.local, event.remote))
        if legs is None or node in blurred:
            continue
        arrived = [leg.t for leg in legs if not leg.outgoing and "R" in leg.segment.flags]
        if not any(event.t - pause <= at <= event.t + SLACK for at in arrived):
            between = {"local": str(event.local), "remote": str(event.remote)}
            objections.append(sentence("reset_not_received", node=node, **between, time=f"{event.t / 1e9:.6f}"))
    return objections
