"""What one node's sockets do: looks at them through sock_diag, and what each shows that the one before did not.

Request sockets and TIME-WAIT are seen, too; what is over between two looks is not. So each look
also says when the next is worth while: when a timer that it has shown is due.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from handshake_lab.linux.netlink.sock_diag import EVERYTHING, LISTENERS, Flow, SockDiag, SocketSnapshot
from handshake_lab.recording.observations import SocketGone, SocketSeen
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.observers.clock import Clock

#: Nanoseconds after which a timer that is due and has not been seen to fire is looked at again: about a jiffy.
DUE_AGAIN = 4_000_000
#: sock_diag tells timers in whole milliseconds.
_JITTER = 2_000_000

_SETTLED = frozenset({State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_2, State.TIME_WAIT})


class SocketPoller:
    """Looks at one node's sockets.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.
    """

    name = "diag"

    def __init__(self, node: str, clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._sockets = SockDiag(node)
        self._known: dict[int, SocketSnapshot] = {}
        self._flows: dict[Flow, int] = {}
        self._looked_all = clock.now()
        self._looked_at: dict[Flow, int] = {}
        self._due: list[tuple[int, int]] = []  # a heap of (when, cookie); some are outdated
        self._announced: dict[int, int] = {}  # cookie -> when its timer is due
        self._overdue: set[int] = set()  # cookies whose timer was due and has not been seen to fire

    def poll(self) -> Iterator[SocketSeen | SocketGone]:
        """Look at all sockets; yield what is new, changed or gone since each was last looked at.

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
            # A timer that goes on as announced is on the heap already.
            if not -_JITTER <= self._announced.get(snapshot.cookie, 0) - t - snapshot.left * 1_000_000 <= _JITTER:
                self._expect(t, snapshot)
        self._looked_all = t
        self._looked_at.clear()

    def poll_flow(self, flow: Flow) -> Iterator[SocketSeen | SocketGone]:
        """Look at one connection.

        Raises:
            SockDiagError: The kernel refused.
        """
        t = self._clock.now()
        snapshot = self._sockets.exact(flow)
        if snapshot is not None and snapshot.state is State.LISTEN:
            snapshot = None  # it answers for connections that there are not
        cookie = self._flows.get(flow)
        if cookie is not None and (snapshot is None or snapshot.cookie != cookie):
            yield self._gone(t, cookie)
        if snapshot is not None:
            yield from self._seen(t, snapshot)
        self._looked_at[flow] = t

    def poll_listeners(self) -> Iterator[SocketSeen | SocketGone]:
        """Look at the sockets that listen, and how many connections wait in each.

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
                since=self._looked_at.get(flow, self._looked_all),
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
        """Note when a socket's timer is due."""
        if not snapshot.timer:
            self._announced.pop(snapshot.cookie, None)
            self._overdue.discard(snapshot.cookie)
        elif snapshot.expires > DUE_AGAIN:
            self._overdue.discard(snapshot.cookie)
            if abs(self._announced.get(snapshot.cookie, 0) - t - snapshot.expires) > _JITTER:
                self._schedule(snapshot.cookie, t + snapshot.expires)
        elif snapshot.cookie not in self._overdue:
            self._schedule(snapshot.cookie, t + DUE_AGAIN)

    def _gone(self, t: int, cookie: int) -> SocketGone:
        gone = self._known.pop(cookie)
        local, remote = flow = gone.flow
        since = self._looked_at.get(flow, self._looked_all)
        if self._flows.get(flow) == cookie:
            del self._flows[flow]
        self._announced.pop(cookie, None)
        if cookie in self._overdue:
            # The wheel fires all timers of one slot together: look at the others at once.
            self._overdue.discard(cookie)
            for other in self._overdue:
                self._schedule(other, t)
        return SocketGone(t=t, since=since, node=self.node, cookie=cookie, state=gone.state, local=local, remote=remote)

    def next_timer(self) -> int | None:
        """When the first timer that a look announced is due, on the run's clock."""
        while self._due and self._announced.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: int) -> list[Flow]:
        """The connections one of whose timers is due.

        A kernel timer fires up to an eighth of its length late (kernel/time/timer.c, the timer
        wheel's granularity): what is overdue is looked at in turn, one each jiffy, until one is gone.
        """
        flows = []
        while (first := self.next_timer()) is not None and first <= now:
            _, cookie = heapq.heappop(self._due)
            self._overdue.add(cookie)
            self._schedule(cookie, now + DUE_AGAIN * len(self._overdue))
            flows.append(self._known[cookie].flow)
        return flows

    def _schedule(self, cookie: int, when: int) -> None:
        self._announced[cookie] = when
        heapq.heappush(self._due, (when, cookie))

    def is_settled(self, flow: Flow) -> bool:
        """Whether neither data nor an acknowledgment can change this connection's state."""
        cookie = self._flows.get(flow)
        return cookie is not None and self._known[cookie].state in _SETTLED

    def flow_of(self, cookie: int) -> Flow | None:
        """The connection of a socket; None where it has not been seen, or is no connection."""
        snapshot = self._known.get(cookie)
        return snapshot.flow if snapshot and snapshot.state is not State.LISTEN else None

    def open_sockets(self) -> list[SocketSnapshot]:
        """What is known to be open."""
        return list(self._known.values())

    def close(self) -> None:
        """Close the netlink socket."""
        self._sockets.close()
