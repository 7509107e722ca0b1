"""Where the kernel's report contradicts the captured segments."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import SLACK
from handshake_lab.recording.messages import Message, sentence

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from handshake_lab.reconcile.segments.matching import MatchedSegments
    from handshake_lab.reconcile.sockets.traced import ObservedSocket
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.recording.observations import TcpEvent
    from handshake_lab.tcp.address import Address


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
