"""Groups endpoints and segments into connections, and assigns the endpoints to the left and right side."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment
from handshake_lab.recording.messages import Message
from handshake_lab.recording.node_addresses import is_loopback
from handshake_lab.recording.observations import Address, LinkChange
from handshake_lab.tcp.states import State
from handshake_lab.verdict.losses import why_lost
from handshake_lab.verdict.without_effect import why_ignored

if TYPE_CHECKING:
    from collections.abc import Iterable

Side = Literal["left", "right"]
LEFT: Side = "left"
RIGHT: Side = "right"


class Lane(msgspec.Struct, frozen=True):
    """One side of a ladder. ``endpoint`` is None if no socket was observed, as with a closed port.

    ``index`` is the index of the endpoint in `Record.endpoints`.
    """

    node: str
    address: Address
    role: str
    endpoint: Endpoint | None
    index: int | None


class Connection(msgspec.Struct, frozen=True):
    """Two lanes and the segments between them. ``number`` counts from 1 in order of time."""

    number: int
    left: Lane
    right: Lane
    segments: tuple[TransmittedSegment, ...]
    link_changes: tuple[LinkChange, ...] = ()  #: those that may have had an effect on it
    ignored: dict[int, Message] = {}  #: why segments that arrived had no effect, by their numbers
    lost_because: dict[int, Message] = {}  #: why segments were lost, by their numbers

    @property
    def lanes(self) -> tuple[tuple[Side, Lane], tuple[Side, Lane]]:
        """Both lanes with their sides."""
        return ((LEFT, self.left), (RIGHT, self.right))

    @property
    def began(self) -> int:
        """The time of the first event in nanoseconds; the transition to LISTEN does not count."""
        own = [_first(lane.endpoint) for _, lane in self.lanes if lane.endpoint and lane.role != "listener"]
        return min(own + self._passed(), default=min(self._times(), default=0))

    @property
    def ended(self) -> int:
        """The time of the last event in nanoseconds."""
        return max(self._times(), default=0)

    @property
    def settled(self) -> int:
        """The time of the last event in nanoseconds, except the end of TIME-WAIT."""
        return max(self._changes(waited=False) + self._passed(), default=0)

    @property
    def time_wait(self) -> int:
        """Nanoseconds for which an end was in TIME-WAIT after the last other event."""
        return self.ended - self.settled

    @property
    def lost(self) -> int:
        """How many segments were lost."""
        return sum(segment.lost for segment in self.segments)

    @property
    def again(self) -> int:
        """How many segments were retransmissions."""
        return sum(segment.retransmits is not None for segment in self.segments)

    def side_of(self, segment: TransmittedSegment) -> Side:
        """The side that sent a segment."""
        if segment.src == segment.dst:  # a connection to itself: only the node distinguishes the sides
            return "left" if segment.sender == self.left.node else "right"
        return "left" if segment.src == self.left.address else "right"

    def _times(self) -> list[int]:
        return self._changes(waited=True) + self._passed()

    def _changes(self, *, waited: bool) -> list[int]:
        """The times of all transitions; ``waited``: with those out of TIME-WAIT."""
        steps = [step for _, lane in self.lanes if lane.endpoint for step in lane.endpoint.transitions]
        return [step.time for step in steps if waited or step.old is not State.TIME_WAIT]

    def _passed(self) -> list[int]:
        return [time for segment in self.segments for time in (segment.sent, segment.received) if time is not None]


def connections(record: Record) -> list[Connection]:
    """Divide a record into its connections, in order of time.

    A four-tuple that is used twice gives two connections: endpoints of one host with the same four-tuple
    are successive sockets, and a segment belongs to the socket that existed when it was sent.
    """
    translated = _translated(record.segments)
    sockets: dict[frozenset[Address], list[list[tuple[int, Endpoint]]]] = defaultdict(list)
    for index, endpoint in sorted(enumerate(record.endpoints), key=lambda pair: _first(pair[1])):
        key = _tuple(endpoint)
        pairs = sockets[translated.get(key, key)]
        for pair in pairs:
            if _fits(endpoint, [other for _, other in pair], translated=key in translated):
                pair.append((index, endpoint))
                break
        else:
            pairs.append([(index, endpoint)])
    segments: dict[frozenset[Address], list[TransmittedSegment]] = defaultdict(list)
    for segment in record.segments:
        key = _between(segment.src, segment.dst, segment.sender)
        segments[translated.get(key, key)].append(segment)
    found = []
    for key in [*sockets, *(key for key in segments if key not in sockets)]:
        pairs = sockets.get(key) or [[]]
        for number, pair in enumerate(pairs):
            begins = min((_first(endpoint) for _, endpoint in pair), default=0) if number else 0
            after = pairs[number + 1 :]
            ends = min((_first(endpoint) for _, endpoint in after[0]), default=None) if after else None
            mine = tuple(
                segment
                for segment in segments.get(key, [])
                if begins <= segment.departed and (ends is None or segment.departed < ends)
            )
            found.append(_connection(record, pair, mine))
    why, lost = why_ignored(record), why_lost(record)
    found = _with_listeners(found) + _exchanges(record)
    found.sort(key=_place)
    return [
        msgspec.structs.replace(
            connection,
            number=place,
            link_changes=_link_changes(record, connection),
            ignored={each.number: why[each.number] for each in connection.segments if each.number in why},
            lost_because={each.number: lost[each.number] for each in connection.segments if each.number in lost},
        )
        for place, connection in enumerate(found, start=1)
    ]


def _place(connection: Connection) -> tuple[bool, int, str, str]:
    """The order of connections: by time; last those that are only a listener to which nobody connected."""
    idle = not connection.segments and not any(lane.role == "client" for _, lane in connection.lanes)
    return idle, connection.began, str(connection.left.address), str(connection.right.address)


def _exchanges(record: Record) -> list[Connection]:
    """The UDP datagrams between each two addresses, which are drawn like the segments of a connection."""
    translated = _translated(record.datagrams)
    between: dict[frozenset[Address], list[TransmittedSegment]] = defaultdict(list)
    for each in record.datagrams:
        key = _between(each.src, each.dst, each.sender)
        between[translated.get(key, key)].append(each)
    return [_connection(record, [], tuple(datagrams)) for datagrams in between.values()]


def _link_changes(record: Record, connection: Connection) -> tuple[LinkChange, ...]:
    """The changes of links during a connection, and those before it that were still in force."""
    open_until = [lane.endpoint.ended for _, lane in connection.lanes if lane.endpoint and not _is_over(lane.endpoint)]
    last = max([connection.ended, *open_until])
    before: dict[tuple[str, str], LinkChange] = {}
    during = []
    for change in record.link_changes:
        if connection.began <= change.t <= last:
            during.append(change)
        elif change.t < connection.began:
            kind = {"mend": "cut", "clear": "set"}.get(change.action, change.action)
            before.pop((change.link, kind), None)
            if change.action == kind:
                before[change.link, kind] = change
    return (*before.values(), *during)


def _is_over(endpoint: Endpoint) -> bool:
    return bool(endpoint.transitions) and endpoint.transitions[-1].new is State.CLOSED


def _translated(segments: Iterable[TransmittedSegment]) -> dict[frozenset[Address], frozenset[Address]]:
    """Maps each four-tuple of a connection that crosses translators (NAT) to one that represents them all."""
    representative: dict[frozenset[Address], frozenset[Address]] = {}
    for segment in segments:
        if segment.translated:
            one, other = frozenset((segment.src, segment.dst)), frozenset(segment.translated)
            chosen, replaced = representative.setdefault(one, one), representative.setdefault(other, one)
            if chosen != replaced:
                representative.update({key: chosen for key, value in representative.items() if value == replaced})
    return representative


def _with_listeners(found: list[Connection]) -> list[Connection]:
    """Put a listener without connections on the empty side of the first connection attempt to it."""
    alone = {
        lane.address: lane
        for connection in found
        for lane in (connection.left, connection.right)
        if lane.role == "listener" and not connection.segments
    }
    out = []
    placed = set()
    for connection in sorted(found, key=lambda each: each.began):
        listener = alone.get(connection.right.address)
        if listener and connection.right.endpoint is None and connection.right.address not in placed:
            placed.add(connection.right.address)
            out.append(msgspec.structs.replace(connection, right=listener))
        else:
            out.append(connection)
    return [each for each in out if each.segments or not _is_of(each, placed)]


def _is_of(connection: Connection, addresses: set[Address]) -> bool:
    return any(lane.role == "listener" and lane.address in addresses for _, lane in connection.lanes)


def _first(endpoint: Endpoint) -> int:
    # The history of a server may start with its listener, long before the connection.
    for step in endpoint.transitions:
        if step.new not in (State.LISTEN, State.CLOSED):
            return step.time
    return endpoint.transitions[0].time if endpoint.transitions else endpoint.ended


def _tuple(endpoint: Endpoint) -> frozenset[Address]:
    if endpoint.role == "listener" or not endpoint.remote.port:
        # No peer: a unique key, even if another socket listens at this address.
        return frozenset((endpoint.local, Address(f"{endpoint.node}#{endpoint.cookie}", 0)))
    return _between(endpoint.local, endpoint.remote, endpoint.node)


def _between(one: Address, other: Address, node: str) -> frozenset[Address]:
    """Both ends; and the host, if the addresses are loopback addresses, which every host has."""
    own = is_loopback(one.ip) or is_loopback(other.ip)
    return frozenset((one, other, Address(node, 0)) if own else (one, other))


def _fits(endpoint: Endpoint, pair: list[Endpoint], *, translated: bool) -> bool:
    if len(pair) != 1:
        return False
    other = pair[0]
    if translated:  # both may be of one host, which a router leads back to itself
        return (other.node, other.local) != (endpoint.node, endpoint.local)
    return other.local == endpoint.remote and (other.node, other.local) != (endpoint.node, endpoint.local)


def _connection(
    record: Record, pair: list[tuple[int, Endpoint]], segments: tuple[TransmittedSegment, ...]
) -> Connection:
    ordered = sorted(pair, key=lambda each: (each[1].role != "client", _first(each[1]), each[0]))
    lanes = [Lane(each.node, each.local, each.role, each, index) for index, each in ordered]
    if not lanes:
        first = segments[0]
        role = "udp" if first.protocol == "UDP" else ""
        target = first.arriving[1] if first.protocol == "UDP" else first.dst
        lanes = [Lane(first.sender, first.src, role, None, None), Lane(first.receiver, target, role, None, None)]
    elif len(lanes) == 1:
        endpoint = ordered[0][1]
        lanes.append(Lane(_host_of(record, endpoint, segments), endpoint.remote, "", None, None))
        if endpoint.role in ("server", "listener"):
            lanes.reverse()
    hosts = {lanes[0].node, lanes[1].node}
    return Connection(0, lanes[0], lanes[1], tuple(_from_the_network(each, hosts) for each in segments))


def _from_the_network(segment: TransmittedSegment, hosts: set[str]) -> TransmittedSegment:
    """A segment that a router sent, which comes from neither side, is drawn as crafted by the network."""
    if segment.sent is None or segment.received is None or segment.sender in hosts:
        return segment
    return msgspec.structs.replace(segment, sent=None)


def _host_of(record: Record, endpoint: Endpoint, segments: tuple[TransmittedSegment, ...]) -> str:
    for node, addresses in record.header.nodes.items():
        if endpoint.remote.ip in addresses:
            return node
    for segment in segments:
        if segment.dst == endpoint.remote:
            return segment.receiver
    return ""


def middle(record: Record, connection: Connection) -> str:
    """The name of the node between the two hosts: the only one that is not an end of any connection; "" if unclear."""
    ends = {endpoint.node for endpoint in record.endpoints} | {connection.left.node, connection.right.node}
    # A link is written "s1>h1:delay=50ms". Switches have no address; they may occur only here.
    linked = [name for link in record.header.links if ">" in link for name in link.partition(":")[0].split(">")]
    between = [node for node in dict.fromkeys([*record.header.nodes, *linked]) if node not in ends]
    return between[0] if len(between) == 1 else ""
