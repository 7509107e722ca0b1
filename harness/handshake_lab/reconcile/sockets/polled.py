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


class Look(NamedTuple):
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


class Sighted:
    """All looks at one socket in one use of it.

    Attributes:
        looks: In order of time, the last one gone where its end was seen.
    """

    def __init__(self, node: str, cookie: int, local: Address, remote: Address) -> None:
        self.node = node
        self.cookie = cookie
        self.local = local
        self.remote = remote
        self.looks: list[Look] = []

    @property
    def listens(self) -> bool:
        """Whether it is a listener."""
        return self.looks[0].state is State.LISTEN

    @property
    def settled(self) -> Look | None:
        """The first look at it as more than a request; None where it never became more."""
        return next((look for look in self.looks if not look.gone and look.state is not State.SYN_RECEIVED), None)


def sort_looks(seen: Iterable[tuple[int, SocketSeen | SocketGone]]) -> list[Sighted]:
    """Sort sightings into the lives they belong to.

    Args:
        seen: Sightings with their place among all observations, in order of time.
    """
    lives: dict[tuple[str, int, tuple[Address, Address] | None], list[Sighted]] = {}
    for order, each in seen:
        local, remote = plain(each.local), plain(each.remote)
        # ss without -e tells no cookie: the addresses are all there is then.
        key = (each.node, each.cookie, None if each.cookie else (local, remote))
        known = lives.setdefault(key, [])
        if not known or _anew(known[-1], each, local, remote):
            if isinstance(each, SocketGone):
                continue  # the end of what was never seen
            known.append(Sighted(each.node, each.cookie, local, remote))
        state = State.CLOSED if isinstance(each, SocketGone) else each.state
        known[-1].looks.append(Look(each.t, order, each.since, state, Witness(each.observer), each))
    return [_without_false_ends(sighted) for group in lives.values() for sighted in group]


def _anew(sighted: Sighted, each: SocketSeen | SocketGone, local: Address, remote: Address) -> bool:
    """Whether a sighting is of another connection, made with the same socket."""
    if isinstance(each, SocketGone):
        return False
    if each.state in _BEGINNINGS and (sighted.local, sighted.remote) != (local, remote):
        return True
    return sighted.looks[-1].gone and each.state in _BEGINNINGS


def _without_false_ends(sighted: Sighted) -> Sighted:
    """A dump can miss a socket that moves between tables: one that is seen again was not gone."""

    def keep() -> Iterator[Look]:
        for place, look in enumerate(sighted.looks):
            if not look.gone or all(later.gone for later in sighted.looks[place:]):
                yield look

    sighted.looks = list(keep())
    return sighted
