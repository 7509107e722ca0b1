"""Polls the sockets of one node through sock_diag, and reports the differences between polls.

Polls show request sockets and TIME-WAIT as well. A state that begins and ends between two polls is not
seen. Therefore each poll also determines the time of the next one: when a timer that it showed expires.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from handshake_lab.linux.netlink.sock_diag import EVERYTHING, LISTENERS
from handshake_lab.linux.timer_wheel import JIFFY, first_chance
from handshake_lab.observers.socket_snapshot import SocketSnapshot, SocketSnapshots
from handshake_lab.recording.observations import SocketGone, SocketSeen
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.observers.clock import Clock
    from handshake_lab.tcp.address import Flow

#: Nanoseconds after which a socket is polled again whose timer should have fired: about a jiffy.
DUE_AGAIN = JIFFY
#: sock_diag reports timers in whole milliseconds.
_JITTER = 2_000_000

_SETTLED = frozenset({State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_2, State.TIME_WAIT})


class SocketPoller:
    """Polls one node's sockets.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.
    """

    name = "diag"

    def __init__(self, node: str, clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._sockets = SocketSnapshots(node)
        self._known: dict[int, SocketSnapshot] = {}
        self._flows: dict[Flow, int] = {}
        self._polled_all = 0  # when the run begins, there are no sockets
        self._polled_at: dict[Flow, int] = {}
        self._due: list[tuple[int, int]] = []  # a heap of (when, cookie); some are outdated
        self._expected: dict[int, int] = {}  # cookie -> when its timer expires
        self._overdue: set[int] = set()  # cookies whose timer should have fired, but is still shown
        self._first_chance: dict[int, int] = {}  # cookie -> when its timer can fire at the earliest

    def poll(self) -> Iterator[SocketSeen | SocketGone]:
        """Poll all sockets; yield those that are new, changed or gone since each was last polled.

        Raises:
            SockDiagError: The kernel refused.
        """
        t = self._clock.now()
        found, changed, ticking = self._sockets.dump(EVERYTHING, self._known)
        for cookie in self._known.keys() - found.keys():
            yield self._gone(t, cookie)
        for snapshot in changed.values():
            yield from self._seen(t, snapshot)
        for snapshot in ticking:
            # A timer that still expires at the known time is on the heap already.
            if not -_JITTER <= self._expected.get(snapshot.cookie, 0) - t - snapshot.left * 1_000_000 <= _JITTER:
                self._expect(t, snapshot)
        self._polled_all = t
        self._polled_at.clear()

    def poll_flow(self, flow: Flow) -> Iterator[SocketSeen | SocketGone]:
        """Poll one connection.

        Raises:
            SockDiagError: The kernel refused.
        """
        t = self._clock.now()
        snapshot, cookie = self._exact(flow), self._flows.get(flow)
        if snapshot is None and cookie is not None and not self._clock.virtual:
            # The lookup takes no lock: it misses a socket that is being replaced by its mini-socket just then
            # (__inet_lookup_established(), net/ipv4/inet_hashtables.c: refcount_inc_not_zero() fails).
            snapshot = self._exact(flow)
        if cookie is not None and (snapshot is None or snapshot.cookie != cookie):
            yield self._gone(t, cookie)
        if snapshot is not None:
            yield from self._seen(t, snapshot)
        self._polled_at[flow] = t

    def timeout(self, flow: Flow) -> int:
        """Poll the retransmission timeout of one connection, in microseconds; 0 if there is none. Not reported.

        Raises:
            SockDiagError: The kernel refused.
        """
        snapshot = self._exact(flow)
        return snapshot.rto if snapshot is not None else 0

    def _exact(self, flow: Flow) -> SocketSnapshot | None:
        """The socket of a connection; None if there is none, or it has just been closed."""
        snapshot = self._sockets.exact(flow)
        # The kernel returns the listener if there is no such connection.
        return None if snapshot is None or snapshot.state in (State.LISTEN, State.CLOSED) else snapshot

    def poll_listeners(self) -> Iterator[SocketSeen | SocketGone]:
        """Poll the listening sockets, and the number of connections in their accept queues.

        Raises:
            SockDiagError: The kernel refused.
        """
        t = self._clock.now()
        found, changed, _ = self._sockets.dump(LISTENERS, self._known)
        for cookie in [each.cookie for each in self._known.values() if each.state is State.LISTEN]:
            if cookie not in found:
                yield self._gone(t, cookie)
        for snapshot in changed.values():
            yield from self._seen(t, snapshot)

    def _seen(self, t: int, snapshot: SocketSnapshot) -> Iterator[SocketSeen]:
        known = self._known.get(snapshot.cookie)
        local, remote = flow = snapshot.flow
        self._known[snapshot.cookie] = snapshot
        self._flows[flow] = snapshot.cookie
        self._expect(t, snapshot)
        if known is None or snapshot.differs(known):
            yield SocketSeen(
                t=t,
                since=self._polled_at.get(flow, self._polled_all),
                node=self.node,
                cookie=snapshot.cookie,
                state=snapshot.state,
                local=local,
                remote=remote,
                timer=snapshot.timer,
                expires=snapshot.expires,
                retrans=snapshot.retrans,
                inode=snapshot.inode,
                rqueue=snapshot.rqueue,
                wqueue=snapshot.wqueue,
                info=snapshot.info,
            )

    def _expect(self, t: int, snapshot: SocketSnapshot) -> None:
        """Record when a socket's timer expires."""
        if not snapshot.timer:
            self._expected.pop(snapshot.cookie, None)
            self._first_chance.pop(snapshot.cookie, None)
            self._overdue.discard(snapshot.cookie)
        elif snapshot.expires > DUE_AGAIN:
            self._overdue.discard(snapshot.cookie)
            if abs(self._expected.get(snapshot.cookie, 0) - t - snapshot.expires) > _JITTER:
                self._schedule(snapshot.cookie, t + snapshot.expires)
                if self._clock.virtual:  # otherwise the kernel's jiffies are not known
                    self._first_chance[snapshot.cookie] = self._chance(t, snapshot.expires)
        elif snapshot.cookie not in self._overdue:
            self._schedule(snapshot.cookie, t + DUE_AGAIN)

    def _chance(self, t: int, left: int) -> int:
        """When a timer can fire at the earliest that had this time left at ``t``."""
        began = self._clock.to_monotonic(0)
        # sock_diag rounds to milliseconds, and the kernel to jiffies.
        return first_chance(began + t + left - 2 * JIFFY, left) - began

    def _gone(self, t: int, cookie: int) -> SocketGone:
        gone = self._known.pop(cookie)
        local, remote = flow = gone.flow
        since = self._polled_at.get(flow, self._polled_all)
        if self._flows.get(flow) == cookie:
            del self._flows[flow]
        self._expected.pop(cookie, None)
        self._first_chance.pop(cookie, None)
        if cookie in self._overdue:
            # The timer wheel fires all timers of one slot together: poll the other sockets at once.
            self._overdue.discard(cookie)
            for other in self._overdue:
                self._schedule(other, t)
        return SocketGone(t=t, since=since, node=self.node, cookie=cookie, state=gone.state, local=local, remote=remote)

    def next_timer(self) -> int | None:
        """When the first of the known timers expires, on the run's clock."""
        while self._due and self._expected.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: int) -> list[Flow]:
        """The connections with a timer that should have fired.

        A kernel timer fires up to an eighth of its length late (kernel/time/timer.c, the timer
        wheel's granularity): overdue sockets are polled in turn, one each jiffy, until one is gone.
        On the lab kernel, whose wheel is known, those times are left out at which none can fire.
        """
        flows = []
        while (first := self.next_timer()) is not None and first <= now:
            _, cookie = heapq.heappop(self._due)
            self._overdue.add(cookie)
            turn = DUE_AGAIN * len(self._overdue)
            # Two polls before it can fire, so that the last one that shows it is a turn earlier.
            turns = (self._first_chance.get(cookie, now) - now) // turn - 1
            self._schedule(cookie, now + turn * max(turns, 1))
            flows.append(self._known[cookie].flow)
        return flows

    def _schedule(self, cookie: int, when: int) -> None:
        self._expected[cookie] = when
        heapq.heappush(self._due, (when, cookie))

    def is_settled(self, flow: Flow) -> bool:
        """Whether neither data nor an acknowledgment can change this connection's state."""
        cookie = self._flows.get(flow)
        return cookie is not None and self._known[cookie].state in _SETTLED

    def flow_of(self, cookie: int) -> Flow | None:
        """The connection of a socket; None if it has not been observed, or is not a connection."""
        snapshot = self._known.get(cookie)
        return snapshot.flow if snapshot and snapshot.state is not State.LISTEN else None

    def open_sockets(self) -> list[SocketSnapshot]:
        """The sockets that the last polls showed."""
        return list(self._known.values())

    def close(self) -> None:
        """Close the netlink socket."""
        self._sockets.close()
