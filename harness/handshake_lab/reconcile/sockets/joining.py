"""Joins the observations of the same socket into one `ObservedSocket`.

A traced and a polled socket are the same if node and four-tuple agree, as far as they are known, and
their times fit. Each of them without a counterpart is a socket too, because every observer may miss one;
so is a connection that only the capture contains.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import FOREVER, NOWHERE, SLACK, ObservedSocket, TracedSocket
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.node_addresses import WILDCARDS, is_loopback
from handshake_lab.tcp.sequence_numbers import add
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.reconcile.segments.matching import MatchedSegments, SegmentAtEnd
    from handshake_lab.reconcile.sockets.polled import PolledSocket
    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.tcp.address import Address


class SocketJoin:
    """All sockets of a run.

    Args:
        traced: The sockets that the tracepoint reported.
        polled: The sockets that polls returned.
        traffic: The segments.
        nodes: The hosts.
        looked: Whether the sockets were polled.
        traced_at_all: Whether tracepoints were available.
        shared: Whether the tracepoint also reports sockets of other runs on the same kernel.
        cookies: The nodes that send SYN cookies.
        pause: Nanoseconds that may pass between observations of the same event.

    Attributes:
        all_observed: Ends of connections and listeners, in the order in which they were created.
        objections: What was ignored, and why.
    """

    def __init__(
        self,
        traced: Sequence[TracedSocket],
        polled: Sequence[PolledSocket],
        traffic: MatchedSegments,
        nodes: Nodes,
        *,
        looked: bool,
        traced_at_all: bool,
        shared: bool,
        cookies: frozenset[str],
        pause: int = SLACK,
    ) -> None:
        self.objections: list[Message] = []
        self._shared = shared
        self._pause = pause
        self._nodes = nodes
        self._traffic = traffic
        self._polled = polled
        self._by_tuple: dict[tuple[Address, Address], list[PolledSocket]] = defaultdict(list)
        for each in polled:
            self._by_tuple[each.local, each.remote].append(each)
        self._listeners = [each for each in polled if each.listens]
        self._taken: set[int] = set()
        self._strangers: list[tuple[Address, Address]] = []
        self.all_observed: list[ObservedSocket] = []
        in_order = sorted(traced, key=lambda each: each.begins)
        for each_traced in in_order:
            each_traced.node = nodes.of(each_traced.local.ip)
        _follow(in_order)
        self._paired = _pair([each for each in in_order if each.listens], self._listeners, pause)
        for each_traced in in_order:
            self._add_traced(each_traced)
        if self._strangers:
            (local, remote), count = self._strangers[0], len(self._strangers)
            code = "sockets_of_other_runs" if shared else "sockets_of_earlier_runs"
            self.objections.append(sentence(code, count=count, local=str(local), remote=str(remote)))
        for each in polled:
            if id(each) not in self._taken:
                self._add_polled(each)
        self._bound()
        self._add_unseen(kernel_watched=looked or traced_at_all, cookies=cookies)
        self.all_observed.sort(key=lambda observed: observed.born)

    # Traced sockets, and the polled socket that belongs to each.

    def _add_traced(self, traced: TracedSocket) -> None:
        match = self._find(traced)
        if match is not None:
            self._taken.add(id(match))
            traced.node = match.node
            local, remote = match.local, match.remote
        else:
            local, remote = self._complete(traced)
        if not traced.node and not (traced.listens or self._traced_elsewhere(traced)):
            # Tracepoints are not limited to a namespace: this is a socket of another run on the same kernel.
            if is_loopback(traced.local.ip):
                self.objections.append(sentence("socket_of_unknown_host", local=str(local), remote=str(remote)))
            return
        if match is None and not self._legs(traced.node, local, remote) and (self._shared or not traced.whole):
            self._strangers.append((local, remote))
            return
        passive = traced.passive or (not traced.whole and self._is_passive(traced.node, local, remote, match))
        self.all_observed.append(ObservedSocket(traced.node, local, remote, passive, traced.listens, traced, match))

    def _find(self, traced: TracedSocket) -> PolledSocket | None:
        if traced.listens:
            return self._paired.get(id(traced))
        pool: Sequence[PolledSocket] = self._polled
        if traced.local.port and traced.remote.port:
            pool = self._by_tuple.get((traced.local, traced.remote), [])
        fitting = [each for each in pool if id(each) not in self._taken and _agree(traced, each)]
        if traced.cookie:
            named = [each for each in fitting if each.cookie == traced.cookie]
            if named:
                return named[0]
        fitting = [each for each in fitting if _timely(traced, each, self._pause)]
        return min(fitting, key=lambda each: _distance(traced, each), default=None)

    def _complete(self, traced: TracedSocket) -> tuple[Address, Address]:
        """The addresses of a socket that only the tracepoint reported, completed from the capture."""
        local, remote = traced.local, traced.remote
        if traced.listens or (local.port and remote.port):
            return local, remote
        for (node, mine, other), legs in self._traffic.legs.items():
            if (
                traced.node in ("", node)
                and (local.port in (0, mine.port))
                and (local.ip in WILDCARDS or local.ip == mine.ip)
                and (remote.port in (0, other.port))
                and (remote.ip in WILDCARDS or remote.ip == other.ip)
                and any(abs(leg.t - traced.begins) <= SLACK for leg in legs)
                and not any(observed.local == mine and observed.remote == other for observed in self.all_observed)
            ):
                traced.node = node
                return mine, other
        return local, remote

    def _traced_elsewhere(self, traced: TracedSocket) -> bool:
        """Whether exactly one host has traffic on this loopback address, which every host has."""
        if not is_loopback(traced.local.ip):
            return False
        where = {node for node, mine, other in self._traffic.legs if (mine, other) == (traced.local, traced.remote)}
        if len(where) == 1:
            traced.node = where.pop()
        return bool(traced.node)

    # Sockets that the tracepoint did not report.

    def _add_polled(self, polled: PolledSocket) -> None:
        passive = not polled.listens and self._is_passive(polled.node, polled.local, polled.remote, polled)
        self.all_observed.append(
            ObservedSocket(polled.node, polled.local, polled.remote, passive, polled.listens, None, polled)
        )

    def _is_passive(self, node: str, local: Address, remote: Address, polled: PolledSocket | None) -> bool:
        if polled and any(poll.state is State.SYN_SENT for poll in polled.polls):
            return False
        for leg in self._legs(node, local, remote):
            if "S" in leg.segment.flags and (not polled or leg.t <= polled.polls[0].t + SLACK):
                return not leg.outgoing or "A" in leg.segment.flags
        if polled and polled.polls[0].state is State.SYN_RECEIVED:
            return True
        return any(observed.listens and serves(observed, node, local) for observed in self.all_observed) or any(
            each.node == node and each.local.port == local.port for each in self._listeners
        )

    def _legs(self, node: str, local: Address, remote: Address) -> list[SegmentAtEnd]:
        return self._traffic.legs.get((node, local, remote), [])

    # The segments of each socket.

    def _bound(self) -> None:
        """Assign to each socket its part of the segments between its two addresses."""
        groups: dict[tuple[str, Address, Address], list[ObservedSocket]] = defaultdict(list)
        for observed in self.all_observed:
            groups[observed.node, observed.local, observed.remote].append(observed)
        for (node, local, remote), all_observed in groups.items():
            all_observed.sort(key=lambda observed: observed.born)
            legs = self._legs(node, local, remote)
            before = -FOREVER
            for observed in all_observed:
                observed.start = max(before, _opening(observed, legs))
                before = max(
                    before,
                    observed.traced.ends if observed.traced and observed.traced.ends < FOREVER else observed.born,
                )
            for observed, after in pairwise(all_observed):
                observed.stop = after.start

    def _add_unseen(self, *, kernel_watched: bool, cookies: frozenset[str]) -> None:
        """Add the sockets that only the capture contains."""
        known: dict[tuple[str, Address, Address], list[ObservedSocket]] = defaultdict(list)
        for observed in self.all_observed:
            known[observed.node, observed.local, observed.remote].append(observed)
        for key, legs in self._traffic.legs.items():
            if self._nodes.of(key[1].ip) not in ("", key[0]):
                continue  # segments with the address of another host, crafted by a program or by the network
            found = list(_openings(legs))
            for place, (passive, opened) in enumerate(found):
                following = found[place + 1][1] if place + 1 < len(found) else FOREVER
                if any(observed.start - SLACK <= opened < observed.stop for observed in known[key]):
                    continue
                if kernel_watched and passive and key[0] in cookies:
                    continue  # answered with a SYN cookie: there is no socket until the ACK returns it
                if kernel_watched:
                    node, local, remote = key
                    self.objections.append(
                        sentence("connection_only_captured", node=node, local=str(local), remote=str(remote))
                    )
                self.all_observed.append(ObservedSocket(*key, passive, False, None, None, opened, following))


def _follow(traced: Sequence[TracedSocket]) -> None:
    """Set for each traced socket when the next one with the same addresses begins."""
    latest: dict[tuple[Address, Address], TracedSocket] = {}
    for each in traced:
        if each.local.port and each.remote.port:
            before = latest.get((each.local, each.remote))
            if before:
                before.followed = each.begins
            latest[each.local, each.remote] = each


def _pair(traced: Sequence[TracedSocket], polled: Sequence[PolledSocket], pause: int) -> dict[int, PolledSocket]:
    """The polled socket of each traced listener, by the latter's id(): the nearest pairs first.

    Runs on the same kernel use the same addresses, and the tracepoint reports the listeners of all of them.
    """
    at_port: dict[int, list[PolledSocket]] = defaultdict(list)
    for poll in polled:
        at_port[poll.local.port].append(poll)
    near = [
        (not _same_cookie(trace, poll), _distance(trace, poll), place, trace, poll)
        for trace in traced
        for place, poll in enumerate(at_port[trace.local.port])
        if _agree(trace, poll) and (_same_cookie(trace, poll) or _fresh(trace, poll, pause))
    ]
    paired: dict[int, PolledSocket] = {}
    taken: set[int] = set()
    for *_, trace, poll in sorted(near, key=lambda pair: pair[:3]):
        if id(trace) not in paired and id(poll) not in taken:
            paired[id(trace)] = poll
            taken.add(id(poll))
    return paired


def _same_cookie(traced: TracedSocket, polled: PolledSocket) -> bool:
    return traced.cookie != 0 and traced.cookie == polled.cookie


def _fresh(traced: TracedSocket, polled: PolledSocket, pause: int) -> bool:
    """Whether a polled and a traced listener may be the same, by time: the previous poll did not contain it yet."""
    began_before = traced.whole and traced.begins < polled.polls[0].since - pause
    return not began_before and _timely(traced, polled, pause)


def _agree(traced: TracedSocket, polled: PolledSocket) -> bool:
    """Whether a traced and a polled socket may be the same, by node, cookie and addresses as far as they are known."""
    if traced.listens != polled.listens or (traced.node and traced.node != polled.node):
        return False
    if traced.cookie and polled.cookie and traced.cookie != polled.cookie and not _took_over(traced, polled):
        return False
    if traced.listens:
        return traced.local == polled.local or (
            traced.local.port == polled.local.port and {traced.local.ip, polled.local.ip} <= WILDCARDS
        )
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


def _timely(traced: TracedSocket, polled: PolledSocket, pause: int) -> bool:
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


def _distance(traced: TracedSocket, polled: PolledSocket) -> int:
    settled = polled.settled or polled.polls[0]
    ends = polled.polls[-1].t
    apart = abs(settled.t - traced.begins)
    return apart + (abs(ends - traced.ends) if traced.listens and traced.ends < FOREVER else 0)


def serves(listener: ObservedSocket, node: str, local: Address) -> bool:
    """Whether a listener takes connections to a node's address."""
    return (
        listener.node in (node, "")
        and listener.local.port == local.port
        and (listener.local.ip in WILDCARDS or listener.local.ip == local.ip)
    )


def _opening(observed: ObservedSocket, legs: Sequence[SegmentAtEnd]) -> int:
    """The time of a socket's first segment."""
    if not observed.passive:
        # The socket may have had another connection just before: this one begins with its own SYN.
        sent = (leg.t for leg in legs if leg.outgoing and _asks(leg) and leg.t >= observed.born - SLACK)
        first = next(sent, FOREVER)
        return first if first <= observed.born + SLACK else observed.born - SLACK
    known = observed.polled.polls[0].t if observed.polled else observed.born
    syns = [leg for leg in legs if not leg.outgoing and _asks(leg) and leg.t <= known + SLACK]
    if not syns:
        return observed.born - SLACK
    # A SYN that reaches an existing connection is not answered with a SYN-ACK.
    taken = {leg.segment.ack for leg in legs if _grants(leg)}
    syns = [leg for leg in syns if taken & _acknowledging(leg)] or syns
    same = [leg for leg in syns if leg.segment.seq == syns[-1].segment.seq]
    answered = _answered(same, legs, known)
    if answered is not None:
        return answered
    # If the request was polled, its SYN is the last one; otherwise the first.
    requested = observed.polled is not None and observed.polled.polls[0].state is State.SYN_RECEIVED
    return same[-1 if requested else 0].t


def _asks(leg: SegmentAtEnd) -> bool:
    """Whether a segment is a SYN without ACK."""
    return leg.segment.flags.startswith("S") and "A" not in leg.segment.flags


def _grants(leg: SegmentAtEnd) -> bool:
    """Whether a segment is a SYN-ACK that was sent, with or without ECN's flag (RFC 3168, section 6.1.1)."""
    return leg.outgoing and leg.segment.flags.startswith("SA")


def _acknowledging(syn: SegmentAtEnd) -> set[int]:
    """The acknowledgment numbers of a SYN-ACK for a SYN: without or with its data (RFC 7413, section 4.1.2)."""
    return {add(syn.segment.seq, 1), add(syn.segment.seq, 1 + syn.segment.length)}


def _answered(syns: Sequence[SegmentAtEnd], legs: Sequence[SegmentAtEnd], known: int) -> int | None:
    """The arrival of the copy of a SYN that created the request: the last one before the first SYN-ACK.

    An earlier copy may have been dropped (the accept queue was full); a later one is answered by a retransmission of
    the SYN-ACK, with the request's own sequence number.
    """
    answers = [leg for leg in legs if _grants(leg) and syns[0].t <= leg.t <= known + SLACK]
    if not answers:
        return None
    first = next(leg.t for leg in answers if leg.segment.seq == answers[-1].segment.seq)
    return max((leg.t for leg in syns if leg.t <= first), default=syns[0].t)


def _openings(legs: Sequence[SegmentAtEnd]) -> Iterable[tuple[bool, int]]:
    """The beginnings of this end's connections: whether it was passive, and when."""
    own: int | None = None  # the initial sequence number of the current connection
    asked: dict[int, SegmentAtEnd] = {}  # the latest SYN by the number that acknowledges it
    for leg in legs:
        segment = leg.segment
        if "S" not in segment.flags or "R" in segment.flags:
            continue
        if not leg.outgoing:
            if _asks(leg):
                asked |= dict.fromkeys(_acknowledging(leg), leg)
        elif segment.seq != own:
            own = segment.seq
            if "A" not in segment.flags:
                yield False, leg.t
            elif segment.ack in asked:
                yield True, asked[segment.ack].t
