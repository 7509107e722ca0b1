"""Joins what the observers said of the same socket into one `ObservedSocket`.

A life of the tracepoint and one of the looks belong together where their node and
four-tuple agree as far as each knows them, and their times fit. What remains of either
is a life too, since any observer may have missed it; what neither saw, but the capture
shows, is one as well.
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
    """All lives of a run.

    Args:
        traced: What the tracepoint told.
        sighted: What was seen by looking.
        traffic: The segments.
        nodes: The hosts.
        looked: Whether anybody looked.
        traced_at_all: Whether there were tracepoints.
        shared: Whether other worlds run on the same kernel, of whose sockets the tracepoint tells too.
        cookies: Who sends SYN cookies.
        pause: Nanoseconds by which what belongs together may be apart.

    Attributes:
        all_observed: Connections' ends and listeners, in order of their birth.
        objections: What was left out, and why.
    """

    def __init__(
        self,
        traced: Sequence[TracedSocket],
        sighted: Sequence[PolledSocket],
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
        self._sighted = sighted
        self._by_tuple: dict[tuple[Address, Address], list[PolledSocket]] = defaultdict(list)
        for each in sighted:
            self._by_tuple[each.local, each.remote].append(each)
        self._listeners = [each for each in sighted if each.listens]
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
        for each in sighted:
            if id(each) not in self._taken:
                self._add_sighted(each)
        self._bound()
        self._add_unseen(kernel_watched=looked or traced_at_all, cookies=cookies)
        self.all_observed.sort(key=lambda observed: observed.born)

    # Which look belongs to which trace.

    def _add_traced(self, traced: TracedSocket) -> None:
        match = self._find(traced)
        if match is not None:
            self._taken.add(id(match))
            traced.node = match.node
            local, remote = match.local, match.remote
        else:
            local, remote = self._complete(traced)
        if not traced.node and not (traced.listens or self._traced_elsewhere(traced)):
            # Tracepoints have no namespace: this is another's socket on the same kernel.
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
        pool: Sequence[PolledSocket] = self._sighted
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
        """The addresses of a life that only the tracepoint told of, filled up from the capture."""
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
        """Whether a loopback address, which tells no host, has traffic on exactly one."""
        if not is_loopback(traced.local.ip):
            return False
        where = {node for node, mine, other in self._traffic.legs if (mine, other) == (traced.local, traced.remote)}
        if len(where) == 1:
            traced.node = where.pop()
        return bool(traced.node)

    # Lives that the tracepoint did not tell of.

    def _add_sighted(self, sighted: PolledSocket) -> None:
        passive = not sighted.listens and self._is_passive(sighted.node, sighted.local, sighted.remote, sighted)
        self.all_observed.append(
            ObservedSocket(sighted.node, sighted.local, sighted.remote, passive, sighted.listens, None, sighted)
        )

    def _is_passive(self, node: str, local: Address, remote: Address, sighted: PolledSocket | None) -> bool:
        if sighted and any(poll.state is State.SYN_SENT for poll in sighted.polls):
            return False
        for leg in self._legs(node, local, remote):
            if "S" in leg.segment.flags and (not sighted or leg.t <= sighted.polls[0].t + SLACK):
                return not leg.outgoing or "A" in leg.segment.flags
        if sighted and sighted.polls[0].state is State.SYN_RECEIVED:
            return True
        return any(observed.listens and serves(observed, node, local) for observed in self.all_observed) or any(
            each.node == node and each.local.port == local.port for each in self._listeners
        )

    def _legs(self, node: str, local: Address, remote: Address) -> list[SegmentAtEnd]:
        return self._traffic.legs.get((node, local, remote), [])

    # Which segments belong to which life.

    def _bound(self) -> None:
        """Give each life its part of the segments between its two addresses."""
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
        """Add the lives that only the capture shows."""
        known: dict[tuple[str, Address, Address], list[ObservedSocket]] = defaultdict(list)
        for observed in self.all_observed:
            known[observed.node, observed.local, observed.remote].append(observed)
        for key, legs in self._traffic.legs.items():
            if self._nodes.of(key[1].ip) not in ("", key[0]):
                continue  # segments in another's name, crafted by a program or by the network: no end of a connection
            found = list(_openings(legs))
            for place, (passive, opened) in enumerate(found):
                following = found[place + 1][1] if place + 1 < len(found) else FOREVER
                if any(observed.start - SLACK <= opened < observed.stop for observed in known[key]):
                    continue
                if kernel_watched and passive and key[0] in cookies:
                    continue  # answered with a SYN cookie: there is no socket until it comes back
                if kernel_watched:
                    node, local, remote = key
                    self.objections.append(
                        sentence("connection_only_captured", node=node, local=str(local), remote=str(remote))
                    )
                self.all_observed.append(ObservedSocket(*key, passive, False, None, None, opened, following))


def _follow(traced: Sequence[TracedSocket]) -> None:
    """Tell each trace when the next one of the same addresses begins."""
    latest: dict[tuple[Address, Address], TracedSocket] = {}
    for each in traced:
        if each.local.port and each.remote.port:
            before = latest.get((each.local, each.remote))
            if before:
                before.followed = each.begins
            latest[each.local, each.remote] = each


def _pair(traced: Sequence[TracedSocket], sighted: Sequence[PolledSocket], pause: int) -> dict[int, PolledSocket]:
    """The look that belongs to each listener's trace, by its id(): those next to each other first.

    Worlds side by side on one kernel have the same addresses, and the tracepoint tells of all their listeners.
    """
    at_port: dict[int, list[PolledSocket]] = defaultdict(list)
    for poll in sighted:
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


def _same_cookie(traced: TracedSocket, sighted: PolledSocket) -> bool:
    return traced.cookie != 0 and traced.cookie == sighted.cookie


def _fresh(traced: TracedSocket, sighted: PolledSocket, pause: int) -> bool:
    """Whether a listener that was seen may be a traced one, by their times: the look before had not shown it yet."""
    began_before = traced.whole and traced.begins < sighted.polls[0].since - pause
    return not began_before and _timely(traced, sighted, pause)


def _agree(traced: TracedSocket, sighted: PolledSocket) -> bool:
    """Whether two accounts may be of one socket, by node, cookie and addresses as far as known."""
    if traced.listens != sighted.listens or (traced.node and traced.node != sighted.node):
        return False
    if traced.cookie and sighted.cookie and traced.cookie != sighted.cookie and not _took_over(traced, sighted):
        return False
    if traced.listens:
        return traced.local == sighted.local or (
            traced.local.port == sighted.local.port and {traced.local.ip, sighted.local.ip} <= WILDCARDS
        )
    mine, theirs = traced.local, sighted.local
    if mine.port not in (0, theirs.port) or not (mine.ip in WILDCARDS or mine.ip == theirs.ip):
        return False
    mine, theirs = traced.remote, sighted.remote
    return mine == NOWHERE or (mine.port in (0, theirs.port) and (mine.ip in WILDCARDS or mine.ip == theirs.ip))


def _took_over(traced: TracedSocket, sighted: PolledSocket) -> bool:
    """Whether a mini-socket with a cookie of its own may have followed a socket.

    A cookie is made when it is first asked for: a mini-socket inherits that of its socket only where a poll had shown
    that one (inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c).
    """
    before = traced.events[-1].old if traced.ends < FOREVER else None
    return sighted.polls[0].mini and before in (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING)


def _timely(traced: TracedSocket, sighted: PolledSocket, pause: int) -> bool:
    """Whether two accounts of the same addresses may be of one socket, by their times: a look takes some, too."""
    first, last = sighted.polls[0], sighted.polls[-1]
    if first.t > traced.followed + pause:
        return False  # of the next connection with these addresses
    over = last.t + pause if last.gone else FOREVER
    if traced.begins > over:
        return False
    settled = sighted.settled
    if settled is None and traced.passive:  # a request only: its child must have come in its time
        return first.since - pause <= traced.begins <= over
    if settled is None:
        settled = first  # SYN-RECEIVED by simultaneous open: a full socket
    if traced.whole and settled.t < traced.begins - pause:
        return False
    # Seen in a full state after the trace's end: only a mini-socket is.
    return settled.since <= traced.ends + pause or settled.state in (State.TIME_WAIT, State.FIN_WAIT_2)


def _distance(traced: TracedSocket, sighted: PolledSocket) -> int:
    settled = sighted.settled or sighted.polls[0]
    ends = sighted.polls[-1].t
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
    """When the first segment that belongs to a life passed."""
    if not observed.passive:
        # The socket may have had another connection just before: its own SYN is the first segment of this one.
        sent = (leg.t for leg in legs if leg.outgoing and _asks(leg) and leg.t >= observed.born - SLACK)
        first = next(sent, FOREVER)
        return first if first <= observed.born + SLACK else observed.born - SLACK
    known = observed.sighted.polls[0].t if observed.sighted else observed.born
    syns = [leg for leg in legs if not leg.outgoing and _asks(leg) and leg.t <= known + SLACK]
    if not syns:
        return observed.born - SLACK
    # A SYN that strays into a connection is never answered by a SYN-ACK.
    taken = {leg.segment.ack for leg in legs if _grants(leg)}
    syns = [leg for leg in syns if taken & _acknowledging(leg)] or syns
    same = [leg for leg in syns if leg.segment.seq == syns[-1].segment.seq]
    answered = _answered(same, legs, known)
    if answered is not None:
        return answered
    # Its SYN was the latest if it was seen as a request, else, seen late, the first.
    requested = observed.sighted is not None and observed.sighted.polls[0].state is State.SYN_RECEIVED
    return same[-1 if requested else 0].t


def _asks(leg: SegmentAtEnd) -> bool:
    """Whether a segment asks for a connection: a SYN that acknowledges nothing."""
    return leg.segment.flags.startswith("S") and "A" not in leg.segment.flags


def _grants(leg: SegmentAtEnd) -> bool:
    """Whether a segment answers such a one: a SYN-ACK, with ECN's flag or without (RFC 3168, section 6.1.1)."""
    return leg.outgoing and leg.segment.flags.startswith("SA")


def _acknowledging(syn: SegmentAtEnd) -> set[int]:
    """The numbers that a SYN-ACK answers a SYN with: without the data in it, or with (RFC 7413, section 4.1.2)."""
    return {add(syn.segment.seq, 1), add(syn.segment.seq, 1 + syn.segment.length)}


def _answered(syns: Sequence[SegmentAtEnd], legs: Sequence[SegmentAtEnd], known: int) -> int | None:
    """Which of a SYN's copies made the request: the last before its first SYN-ACK, by when it came.

    A copy before it may have been dropped (the accept queue was full), and one after it is answered by the same SYN-ACK
    again, whose sequence number is the request's own.
    """
    answers = [leg for leg in legs if _grants(leg) and syns[0].t <= leg.t <= known + SLACK]
    if not answers:
        return None
    first = next(leg.t for leg in answers if leg.segment.seq == answers[-1].segment.seq)
    return max((leg.t for leg in syns if leg.t <= first), default=syns[0].t)


def _openings(legs: Sequence[SegmentAtEnd]) -> Iterable[tuple[bool, int]]:
    """Where connections begin that this end took part in: whether it was asked, and when."""
    own: int | None = None  # the initial sequence number of the connection under way
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
