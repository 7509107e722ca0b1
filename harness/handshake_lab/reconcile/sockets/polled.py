"""What looks at the sockets showed (sock_diag, ss), sorted into one life per socket.

A socket's cookie is its identity: it passes from a request socket to the connection made
from it and on to the mini-socket of TIME-WAIT (net/ipv4/inet_connection_sock.c,
inet_csk_clone_lock; net/ipv4/inet_timewait_sock.c, inet_twsk_alloc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.node_addresses import plain
from handshake_lab.recording.observations import SocketGone, SocketSeen, Witness
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.tcp.address import Address

#: States in which a socket that was gone can be found again: a program used it anew.
_BEGINNINGS = (State.LISTEN, State.SYN_SENT)


class Poll(NamedTuple):
    """One sighting: the socket was in ``state`` at ``t``, or (CLOSED) gone by then.

    The look before it, at ``since``, had not shown it like this. ``order`` is its place
    among all observations.
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
        """Whether it was a mini-socket: TIME-WAIT, or what is left of an orphan in FIN-WAIT-2."""
        return isinstance(self.seen, SocketSeen) and self.seen.timer == "timewait"

    @property
    def due(self) -> int | None:
        """When the timer that can end it is due; None where none was running."""
        if isinstance(self.seen, SocketGone) or self.seen.timer in ("", "delack"):
            return None
        return self.t + self.seen.expires


class PolledSocket:
    """All looks at one socket in one use of it.

    Attributes:
        polls: In order of time, the last one gone where its end was seen.
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
        """The first look at it as more than a request; None where it never became more."""
        return next((poll for poll in self.polls if not poll.gone and poll.state is not State.SYN_RECEIVED), None)


def sort_polls(seen: Iterable[tuple[int, SocketSeen | SocketGone]]) -> list[PolledSocket]:
    """Sort sightings into the lives they belong to.

    Args:
        seen: Sightings with their place among all observations, in order of time.
    """
    all_observed: dict[tuple[str, int, tuple[Address, Address] | None], list[PolledSocket]] = {}
    for order, each in seen:
        local, remote = plain(each.local), plain(each.remote)
        # ss without -e tells no cookie: the addresses are all there is then.
        key = (each.node, each.cookie, None if each.cookie else (local, remote))
        known = all_observed.setdefault(key, [])
        if not known or _anew(known[-1], each, local, remote):
            if isinstance(each, SocketGone):
                continue  # the end of what was never seen
            known.append(PolledSocket(each.node, each.cookie, local, remote))
        state = State.CLOSED if isinstance(each, SocketGone) else each.state
        known[-1].polls.append(Poll(each.t, order, each.since, state, Witness(each.observer), each))
    return [_without_false_ends(sighted) for group in all_observed.values() for sighted in group]


def _anew(sighted: PolledSocket, each: SocketSeen | SocketGone, local: Address, remote: Address) -> bool:
    """Whether a sighting is of another connection, made with the same socket."""
    if isinstance(each, SocketGone):
        return False
    if each.state in _BEGINNINGS and (sighted.local, sighted.remote) != (local, remote):
        return True
    return sighted.polls[-1].gone and each.state in _BEGINNINGS


def _without_false_ends(sighted: PolledSocket) -> PolledSocket:
    """A dump can miss a socket that moves between tables: one that is seen again was not gone."""

    def keep() -> Iterator[Poll]:
        for place, poll in enumerate(sighted.polls):
            if not poll.gone or all(later.gone for later in sighted.polls[place:]):
                yield poll

    sighted.polls = list(keep())
    return sighted
