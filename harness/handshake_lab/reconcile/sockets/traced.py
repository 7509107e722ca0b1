"""Who was there: the sockets of a run, each with everything that any observer said of it.

The tracepoint knows a socket by its kernel address, which is used again after its end;
looks know it by its cookie; the capture knows addresses only. They meet in the
four-tuple and in time, and in ``tcp_destroy_sock``, which names address and cookie both.
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

#: How far the clocks of two observers may be apart. Nanoseconds.
SLACK = 1_000_000

#: How long a kernel may take from a segment's arrival to the state it leads to, and from there to the segment that
#: leaves, where its time is real: what it runs on may be taken away in between. Nanoseconds.
HELD_UP = 100_000_000

FOREVER = 1 << 62
NOWHERE = Address("", 0)


class TraceEvent(NamedTuple):
    """One step as the tracepoint told it."""

    t: int
    order: int
    old: State
    new: State
    doubt: Message | None = None  #: why it may mean something else
    pid: int = 0  #: the task it ran in: the caller's, where it ran in a call at all
    context: Context = ""


class TracedSocket:
    """What the tracepoint told of one socket, from its first step to its CLOSE.

    Attributes:
        whole: Whether its first step is known.
        followed: When the next connection with the same addresses begins.
        followed_from: The local end of the connection that the socket, or one at its place, had before, if it shows it.
    """

    def __init__(self, sk: int, first: TraceEvent, followed_from: Address | None = None) -> None:
        self.sk = sk
        self.followed_from = followed_from
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
        """When its first step was."""
        return self.events[0].t

    @property
    def ends(self) -> int:
        """When it was closed; `FOREVER` where that was not seen."""
        return self.events[-1].t if self.events[-1].new is State.CLOSED else FOREVER

    def is_other(self, change: StateChange) -> bool:
        """Whether a step must be another socket's, for its ends are others: the steps in between were lost."""
        told = plain(change.local), plain(change.remote)
        return (self.local, self.remote) != told and all(
            each.port and each.ip not in WILDCARDS for each in (self.local, self.remote, *told)
        )

    def add(self, order: int, change: StateChange) -> None:
        """Add a step, and keep the best of the addresses that the steps tell.

        A connecting socket has no port yet, or still shows that of the connection before, which it gives up unless
        it was bound to it; a child of older kernels is still shown with its listener's address and no remote port.
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
    """One socket in one connection, or one listener, with all that was seen of it.

    ``start`` and ``stop`` bound the segments that are its own: another connection of the
    same addresses comes after. ``unheard``: segments arrived in its name that it was not
    seen to send, because they were made up on the way or because the capture missed them.
    ``strayed``: when resets were sent to it that were not seen to arrive.
    """

    node: str
    local: Address
    remote: Address
    passive: bool
    listens: bool
    traced: TracedSocket | None
    sighted: PolledSocket | None
    start: int = 0
    stop: int = FOREVER
    unheard: bool = False
    strayed: list[int] = []

    @property
    def cookie(self) -> int:
        """The socket's cookie; 0 where no observer told it."""
        if self.sighted and self.sighted.cookie:
            return self.sighted.cookie
        return self.traced.cookie if self.traced else 0

    @property
    def events(self) -> list[TraceEvent]:
        """What the tracepoint told."""
        return self.traced.events if self.traced else []

    @property
    def polls(self) -> list[Poll]:
        """What looks showed."""
        return self.sighted.polls if self.sighted else []

    @property
    def opener(self) -> int:
        """The task that called connect() or listen(); 0 where that is not known."""
        return self.events[0].pid if self.events and not self.passive else 0

    @property
    def died(self) -> int | None:
        """When a kernel observer first knew that it was over; None where none did."""
        if self.traced and self.traced.ends < FOREVER:
            return self.traced.ends
        return self.polls[-1].t if self.polls and self.polls[-1].gone else None

    @property
    def born(self) -> int:
        """The first that any kernel observer knew of it."""
        times = [self.traced.begins] if self.traced else []
        times += [self.sighted.polls[0].t] if self.sighted else []
        return min(times, default=self.start)


def trace(changes: Iterable[tuple[int, StateChange]], named: Iterable[TcpEvent]) -> list[TracedSocket]:
    """Sort the tracepoint's steps into lives.

    Args:
        changes: Steps with their place among all observations, in order of time.
        named: Events which name a socket's address and cookie both.
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
            shown = plain(change.local)
            open_observed = current[change.sk] = TracedSocket(
                change.sk,
                TraceEvent(change.t, order, change.old, change.new, pid=change.pid),
                shown if before.get(change.sk) == shown else None,
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
