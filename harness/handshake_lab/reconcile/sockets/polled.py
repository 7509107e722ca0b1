"""The results of polls (sock_diag, ss), grouped by socket.

The cookie identifies a socket: the connection inherits it from the request socket, and the mini-socket
of TIME-WAIT from the connection (net/ipv4/inet_connection_sock.c, inet_csk_clone_lock;
net/ipv4/inet_timewait_sock.c, inet_twsk_alloc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.node_addresses import plain
from handshake_lab.recording.observations import SocketGone, SocketSeen, Witness
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.tcp.address import Address

#: States in which a socket that was gone can be polled again, because a program uses it again.
_BEGINNINGS = (State.LISTEN, State.SYN_SENT)


class Poll(NamedTuple):
    """The result of one poll: the socket was in ``state`` at ``t``, or gone (CLOSED).

    The previous poll, at ``since``, had a different result. ``order`` is the index of the
    observation.
    """

    t: int
    order: int
    since: int
    state: State
    witness: Witness
    seen: SocketSeen | SocketGone

    @property
    def gone(self) -> bool:
        """Whether the socket was no longer there."""
        return isinstance(self.seen, SocketGone)

    @property
    def mini(self) -> bool:
        """Whether it was a mini-socket: TIME-WAIT, or FIN-WAIT-2 of an orphan."""
        return isinstance(self.seen, SocketSeen) and self.seen.timer == "timewait"

    @property
    def due(self) -> int | None:
        """When the timer that can end it expires; None if none was running."""
        if isinstance(self.seen, SocketGone) or self.seen.timer in ("", "delack"):
            return None
        return self.t + self.seen.expires


class PolledSocket:
    """All polls of one socket during one use of it.

    Attributes:
        polls: In order of time; the last one is gone if the end was polled.
    """

    def __init__(self, node: str, cookie: int, local: Address, remote: Address) -> None:
        self.node = node
        self.cookie = cookie
        self.local = local
        self.remote = remote
        self.polls: list[Poll] = []

    @property
    def listens(self) -> bool:
        """Whether it is a listener."""
        return self.polls[0].state is State.LISTEN

    @property
    def settled(self) -> Poll | None:
        """The first poll of it as more than a request; None if it was never more."""
        return next((poll for poll in self.polls if not poll.gone and poll.state is not State.SYN_RECEIVED), None)


def sort_polls(seen: Iterable[tuple[int, SocketSeen | SocketGone]]) -> list[PolledSocket]:
    """Group poll results by socket.

    Args:
        seen: Poll results with the indexes of their observations, in order of time.
    """
    all_observed: dict[tuple[str, int, tuple[Address, Address] | None], list[PolledSocket]] = {}
    for order, each in seen:
        local, remote = plain(each.local), plain(each.remote)
        # ss without -e reports no cookie: then the addresses identify the socket.
        key = (each.node, each.cookie, None if each.cookie else (local, remote))
        known = all_observed.setdefault(key, [])
        if not known or _is_used_again(known[-1], each, local, remote):
            if isinstance(each, SocketGone):
                continue  # the end of a socket that was not polled before
            known.append(PolledSocket(each.node, each.cookie, local, remote))
        state = State.CLOSED if isinstance(each, SocketGone) else each.state
        known[-1].polls.append(Poll(each.t, order, each.since, state, Witness(each.observer), each))
    return [_without_false_ends(polled) for group in all_observed.values() for polled in group]


def _is_used_again(polled: PolledSocket, each: SocketSeen | SocketGone, local: Address, remote: Address) -> bool:
    """Whether a poll result belongs to another connection of the same socket."""
    if isinstance(each, SocketGone):
        return False
    if each.state in _BEGINNINGS and (polled.local, polled.remote) != (local, remote):
        return True
    return polled.polls[-1].gone and each.state in _BEGINNINGS


def _without_false_ends(polled: PolledSocket) -> PolledSocket:
    """A dump can miss a socket that moves between tables: one that is polled again was not gone."""

    def keep() -> Iterator[Poll]:
        for place, poll in enumerate(polled.polls):
            if not poll.gone or all(later.gone for later in polled.polls[place:]):
                yield poll

    polled.polls = list(keep())
    return polled
