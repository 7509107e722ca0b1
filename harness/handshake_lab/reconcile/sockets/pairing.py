"""Pairs each traced socket with the same polled socket: by node, cookie, addresses and time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import FOREVER, NOWHERE, TracedSocket
from handshake_lab.recording.node_addresses import WILDCARDS
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.reconcile.sockets.polled import PolledSocket
    from handshake_lab.tcp.address import Address


def set_followers(traced: Sequence[TracedSocket]) -> None:
    """Set for each traced socket when the next one with the same addresses begins."""
    latest: dict[tuple[Address, Address], TracedSocket] = {}
    for each in traced:
        if each.local.port and each.remote.port:
            before = latest.get((each.local, each.remote))
            if before:
                before.followed = each.begins
            latest[each.local, each.remote] = each


def pair_listeners(
    traced: Sequence[TracedSocket], polled: Sequence[PolledSocket], pause: int
) -> dict[int, PolledSocket]:
    """The polled socket of each traced listener, by the latter's id(): the nearest pairs first.

    Runs on the same kernel use the same addresses, and the tracepoint reports the listeners of all of them.
    """
    at_port: dict[int, list[PolledSocket]] = defaultdict(list)
    for poll in polled:
        at_port[poll.local.port].append(poll)
    near = [
        (
            not _same_cookie(trace, poll),
            trace.local.port != poll.local.port,
            distance_between(trace, poll),
            place,
            trace,
            poll,
        )
        for trace in traced
        for place, poll in enumerate(polled if trace.unbound else at_port[trace.local.port])
        if agree(trace, poll) and (_same_cookie(trace, poll) or _fresh(trace, poll, pause))
    ]
    paired: dict[int, PolledSocket] = {}
    taken: set[int] = set()
    for *_, trace, poll in sorted(near, key=lambda pair: pair[:4]):
        if id(trace) not in paired and id(poll) not in taken:
            paired[id(trace)] = poll
            taken.add(id(poll))
    return paired


def _same_cookie(traced: TracedSocket, polled: PolledSocket) -> bool:
    return traced.cookie != 0 and traced.cookie == polled.cookie


def _fresh(traced: TracedSocket, polled: PolledSocket, pause: int) -> bool:
    """Whether a polled and a traced listener may be the same, by time: the previous poll did not contain it yet."""
    began_before = traced.whole and traced.begins < polled.polls[0].since - pause
    return not began_before and timely(traced, polled, pause)


def agree(traced: TracedSocket, polled: PolledSocket) -> bool:
    """Whether a traced and a polled socket may be the same, by node, cookie and addresses as far as they are known."""
    if traced.listens != polled.listens or (traced.node and traced.node != polled.node):
        return False
    if traced.cookie and polled.cookie and traced.cookie != polled.cookie and not _took_over(traced, polled):
        return False
    if traced.listens:
        same_ip = traced.local.ip == polled.local.ip or {traced.local.ip, polled.local.ip} <= WILDCARDS
        return same_ip and (traced.unbound or traced.local.port == polled.local.port)
    mine, theirs = traced.local, polled.local
    if mine.port not in (0, theirs.port) or not (mine.ip in WILDCARDS or mine.ip == theirs.ip):
        return False
    mine, theirs = traced.remote, polled.remote
    return mine == NOWHERE or (mine.port in (0, theirs.port) and (mine.ip in WILDCARDS or mine.ip == theirs.ip))


def _took_over(traced: TracedSocket, polled: PolledSocket) -> bool:
    """Whether a mini-socket with a different cookie may have replaced a socket.

    A cookie is generated when it is first requested. A mini-socket inherits that of its socket only if a poll had
    returned that socket (inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c).
    """
    before = traced.events[-1].old if traced.ends < FOREVER else None
    return polled.polls[0].mini and before in (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING)


def timely(traced: TracedSocket, polled: PolledSocket, pause: int) -> bool:
    """Whether a traced and a polled socket with the same addresses may be the same, by time."""
    first, last = polled.polls[0], polled.polls[-1]
    if first.t > traced.followed + pause:
        return False  # the next connection with these addresses
    over = last.t + pause if last.gone else FOREVER
    if traced.begins > over:
        return False
    settled = polled.settled
    if settled is None and traced.passive:  # only a request: the child must have been created during its lifetime
        return first.since - pause <= traced.begins <= over
    if settled is None:
        settled = first  # SYN-RECEIVED by simultaneous open: a full socket
    if traced.whole and settled.t < traced.begins - pause:
        return False
    # After the tracepoint's CLOSED only a mini-socket can be polled.
    return settled.since <= traced.ends + pause or settled.state in (State.TIME_WAIT, State.FIN_WAIT_2)


def distance_between(traced: TracedSocket, polled: PolledSocket) -> int:
    """How far a traced and a polled socket are apart in time, in nanoseconds: of several, the nearest is the same."""
    settled = polled.settled or polled.polls[0]
    ends = polled.polls[-1].t
    apart = abs(settled.t - traced.begins)
    return apart + (abs(ends - traced.ends) if traced.listens and traced.ends < FOREVER else 0)
