"""The sockets that the tracepoint reported, and sockets with all observations of them.

The tracepoint identifies a socket by its kernel address, which is reused after its end; polls identify
it by its cookie; the capture contains only IP addresses and ports. They have in common the four-tuple
and the time; ``tcp_destroy_sock`` contains both kernel address and cookie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from handshake_lab.reconcile.sockets.polled import PolledSocket
from handshake_lab.recording.node_addresses import WILDCARDS, plain
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.reconcile.sockets.polled import Poll
    from handshake_lab.recording.messages import Message
    from handshake_lab.recording.observations import Context, StateChange, TcpEvent

#: The largest difference between the clocks of two observers, in nanoseconds.
SLACK = 1_000_000

#: The time in nanoseconds that a kernel in real time may take from a segment's arrival to the transition, and from the
#: transition to the segment that it sends: it may have to wait for a processor in between.
HELD_UP = 100_000_000

FOREVER = 1 << 62
NOWHERE = Address("", 0)


class TraceEvent(NamedTuple):
    """One transition that the tracepoint reported."""

    t: int
    order: int
    old: State
    new: State
    doubt: Message | None = None  #: why it is ambiguous
    pid: int = 0  #: the task in which it ran: the caller's only if ``context`` is "task"
    context: Context = ""


class TracedSocket:
    """The transitions of one socket that the tracepoint reported, from the first to CLOSED.

    Attributes:
        whole: Whether its first transition is known.
        followed: When the next connection with the same addresses begins.
        followed_from: The local address of the previous connection of this socket, if the first event repeats it.
        unbound: Whether a listener may get its port only after its first event, which has none or that of the socket's
            previous connection (inet_csk_listen_start(), net/ipv4/inet_connection_sock.c).
    """

    def __init__(self, sk: int, first: TraceEvent, shown: Address, before: Address | None) -> None:
        self.sk = sk
        self.followed_from = shown if before == shown else None
        self.unbound = first.new is State.LISTEN and shown.port in (0, before.port if before else 0)
        self.events: list[TraceEvent] = []
        self.local = NOWHERE
        self.remote = NOWHERE
        self.cookie = 0
        self.node = ""
        self.followed = FOREVER
        self.whole = first.old in (State.CLOSED, State.LISTEN)
        self.listens = first.new is State.LISTEN or (first.old is State.LISTEN and first.new is State.CLOSED)
        self.passive = first.old is State.LISTEN and first.new is State.SYN_RECEIVED

    @property
    def begins(self) -> int:
        """The time of its first transition."""
        return self.events[0].t

    @property
    def ends(self) -> int:
        """When it was closed; `FOREVER` if that was not reported."""
        return self.events[-1].t if self.events[-1].new is State.CLOSED else FOREVER

    def is_other(self, change: StateChange) -> bool:
        """Whether a transition belongs to another socket, because its addresses differ: events in between were lost."""
        addresses = plain(change.local), plain(change.remote)
        return (self.local, self.remote) != addresses and all(
            each.port and each.ip not in WILDCARDS for each in (self.local, self.remote, *addresses)
        )

    def add(self, order: int, change: StateChange) -> None:
        """Add a transition, and keep the most specific addresses.

        A connecting socket has no port yet, or still that of its previous connection, which it keeps only if it was
        bound to it. On older kernels a child is reported with its listener's address and no remote port.
        """
        self.events.append(TraceEvent(change.t, order, change.old, change.new, pid=change.pid, context=change.context))
        local, remote = plain(change.local), plain(change.remote)
        if self.followed_from and change.new is State.SYN_SENT:
            local = Address(local.ip, 0)
        if self.local.port == 0 or (local.port and local.ip not in WILDCARDS):
            self.local = local
        if self.remote.port == 0:
            self.remote = remote


class ObservedSocket(msgspec.Struct):
    """One socket during one connection, or one listener, with all observations of it.

    ``start`` and ``stop`` limit its segments: another connection with the same addresses may follow.
    ``uncaptured``: the peer received segments from it that were not captured when they were sent, because
    the network crafted them or the capture missed them. ``lost_resets``: the times at which resets were
    sent to it that did not arrive.
    """

    node: str
    local: Address
    remote: Address
    passive: bool
    listens: bool
    traced: TracedSocket | None
    polled: PolledSocket | None
    start: int = 0
    stop: int = FOREVER
    uncaptured: bool = False
    lost_resets: list[int] = []

    @property
    def cookie(self) -> int:
        """The socket's cookie; 0 if it is not known."""
        if self.polled and self.polled.cookie:
            return self.polled.cookie
        return self.traced.cookie if self.traced else 0

    @property
    def events(self) -> list[TraceEvent]:
        """The transitions that the tracepoint reported."""
        return self.traced.events if self.traced else []

    @property
    def polls(self) -> list[Poll]:
        """The results of polls."""
        return self.polled.polls if self.polled else []

    @property
    def opener(self) -> int:
        """The task that called connect() or listen(); 0 if it is not known."""
        return self.events[0].pid if self.events and not self.passive else 0

    @property
    def died(self) -> int | None:
        """The first time at which a kernel observer reported its end; None if none did."""
        if self.traced and self.traced.ends < FOREVER:
            return self.traced.ends
        return self.polls[-1].t if self.polls and self.polls[-1].gone else None

    @property
    def born(self) -> int:
        """The time of the first report of it by a kernel observer."""
        times = [self.traced.begins] if self.traced else []
        times += [self.polled.polls[0].t] if self.polled else []
        return min(times, default=self.start)


def trace(changes: Iterable[tuple[int, StateChange]], named: Iterable[TcpEvent]) -> list[TracedSocket]:
    """Group the tracepoint's transitions by socket.

    Args:
        changes: Transitions with the indexes of their observations, in order of time.
        named: Events that contain both kernel address and cookie.
    """
    current: dict[int, TracedSocket] = {}
    before: dict[int, Address] = {}
    traced: list[TracedSocket] = []
    for order, change in changes:
        if change.old is change.new:
            continue  # shutdown, then close: tcp_close_state() sets the state it has
        open_observed = current.get(change.sk)
        opening = change.old is State.CLOSED or (change.old is State.LISTEN and change.new is State.SYN_RECEIVED)
        if open_observed is None or opening or open_observed.is_other(change):
            open_observed = current[change.sk] = TracedSocket(
                change.sk,
                TraceEvent(change.t, order, change.old, change.new, pid=change.pid),
                plain(change.local),
                before.get(change.sk),
            )
            traced.append(open_observed)
        open_observed.add(order, change)
        if change.new is State.CLOSED:
            before[change.sk] = open_observed.local
            del current[change.sk]
    by_sk: dict[int, list[TracedSocket]] = {}
    for each in traced:
        by_sk.setdefault(each.sk, []).append(each)
    for event in named:
        if event.cookie:
            owners = [each for each in by_sk.get(event.sk, ()) if each.begins <= event.t]
            if owners:
                owners[-1].cookie = event.cookie
    return traced
