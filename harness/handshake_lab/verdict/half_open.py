"""Half-open connections: endpoints that are ESTABLISHED although their peer has no connection (RFC 9293, 3.5.1)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.node_addresses import is_loopback
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Endpoint, Record
    from handshake_lab.tcp.address import Address

#: The states of an endpoint that has no connection.
_AWAY = (State.CLOSED, State.LISTEN)


class HalfOpen(NamedTuple):
    """A half-open endpoint, by its index in the record, and the finding about it."""

    endpoint: int
    message: Message


def half_open(record: Record) -> Iterator[HalfOpen]:
    """Every endpoint that ends in ESTABLISHED without a peer."""
    last = {(end.node, end.local, end.remote): end for end in record.endpoints if end.transitions}
    peers: dict[tuple[Address, Address], list[Endpoint]] = defaultdict(list)
    for end in last.values():
        peers[end.local, end.remote].append(end)
    ways = _Ways(record)
    for place, end in enumerate(record.endpoints):
        if not end.transitions or end.states[-1] is not State.ESTABLISHED:
            continue
        found = [peer for flow in ways.peers_flows(end) for peer in peers.get(flow, ()) if _may_be(end, peer)]
        gone = [peer for peer in found if peer.states[-1] in _AWAY]
        if found and len(gone) == len(found):
            peer = gone[-1]
            at = peer.transitions[-1].time
            if at > end.transitions[-1].time:
                yield HalfOpen(
                    place,
                    sentence(
                        "half_open", who=_who(end), peer=_who(peer), state=str(peer.states[-1]), time=f"{at / 1e9:.3f}"
                    ),
                )
        elif not found and (node := ways.reached(end)):
            yield HalfOpen(place, sentence("half_open_never", who=_who(end), peer=node))


def _may_be(end: Endpoint, peer: Endpoint) -> bool:
    """Whether an endpoint may be the other end: every host has the loopback addresses."""
    return peer is not end and (not is_loopback(end.local.ip) or peer.node == end.node)


def _who(end: Endpoint) -> str:
    return f"{end.node} {end.local}"


class _Ways:
    """The translations of segments' addresses (NAT), and the hosts that they reach."""

    def __init__(self, record: Record) -> None:
        self._polled = record.header.observers.get(Witness.DIAG) == ""
        self._hosts = set(record.counters) if record.counters else set()
        self._there: dict[tuple[Address, Address], tuple[Address, Address]] = {}
        self._back: dict[tuple[Address, Address], tuple[Address, Address]] = {}
        self._reached: dict[tuple[str, Address, Address], str] = {}
        for segment in record.segments:
            if segment.icmp:
                continue
            source, target = segment.arriving
            self._there[segment.src, segment.dst] = (target, source)
            self._back[source, target] = (segment.dst, segment.src)
            if segment.received is not None and segment.sent is not None:
                self._reached[segment.sender, segment.src, segment.dst] = segment.receiver

    def peers_flows(self, end: Endpoint) -> set[tuple[Address, Address]]:
        """The peer's local and remote addresses, by the segments of both; without translation if there are none."""
        sent, came = self._there.get((end.local, end.remote)), self._back.get((end.remote, end.local))
        back = (came[1], came[0]) if came else None
        return {flow for flow in (sent, back) if flow} or {(end.remote, end.local)}

    def reached(self, end: Endpoint) -> str:
        """The host that got its segments, if all of that host's sockets were polled; "" otherwise."""
        node = self._reached.get((end.node, end.local, end.remote), "")
        return node if self._polled and node in self._hosts else ""
