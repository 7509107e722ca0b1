"""Joins what the observers said of the same socket into one `Life`.

A life of the tracepoint and one of the looks belong together where their node and
four-tuple agree as far as each knows them, and their times fit. What remains of either
is a life too, since any observer may have missed it; what neither saw, but the capture
shows, is one as well.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import FOREVER, NOWHERE, SLACK, Life, Traced
from handshake_lab.recording.messages import Said, say
from handshake_lab.recording.node_addresses import WILDCARDS, is_loopback
from handshake_lab.tcp.sequence_numbers import add
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.reconcile.segments.matching import Leg, Traffic
    from handshake_lab.reconcile.sockets.polled import Sighted
    from handshake_lab.recording.node_addresses import Nodes
    from handshake_lab.tcp.address import Address


class Gathering:
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
        lives: Connections' ends and listeners, in order of their birth.
        objections: What was left out, and why.
    """

    def __init__(
        self,
        traced: Sequence[Traced],
        sighted: Sequence[Sighted],
        traffic: Traffic,
        nodes: Nodes,
        *,
        looked: bool,
        traced_at_all: bool,
        shared: bool,
        cookies: frozenset[str],
        pause: int = SLACK,
    ) -> None:
        self.objections: list[Said] = []
        self._shared = shared
        self._pause = pause
        self._nodes = nodes
        self._traffic = traffic
        self._sighted = sighted
        self._by_tuple: dict[tuple[Address, Address], list[Sighted]] = defaultdict(list)
        for each in sighted:
            self._by_tuple[each.local, each.remote].append(each)
        self._listeners = [each for each in sighted if each.listens]
        self._taken: set[int] = set()
        self._strangers: list[tuple[Address, Address]] = []
        self.lives: list[Life] = []
        in_order = sorted(traced, key=lambda each: each.begins)
        for each_traced in in_order:
            each_traced.node = nodes.of(each_traced.local.ip)
        _follow(in_order)
        self._paired = _pair([each for each in in_order if each.listens], self._listeners, pause)
        for each_traced in in_order:
            self._add_traced(each_traced)
        if self._strangers:
            (local, remote), count = self._strangers[0], len(self._strangers)
            kind = "another_worlds" if shared else "left_over"
            self.objections.append(say(kind, count=count, local=str(local), remote=str(remote)))
        for each in sighted:
            if id(each) not in self._taken:
                self._add_sighted(each)
        self._bound()
        self._add_unseen(kernel_watched=looked or traced_at_all, cookies=cookies)
        self.lives.sort(key=lambda life: life.born)

    # Which look belongs to which trace.

    def _add_traced(self, traced: Traced) -> None:
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
                self.objections.append(say("anybodys", local=str(local), remote=str(remote)))
            return
        if match is None and not self._legs(traced.node, local, remote) and (self._shared or not traced.whole):
            self._strangers.append((local, remote))
            return
        passive = traced.passive or (not traced.whole and self._is_passive(traced.node, local, remote, match))
        self.lives.append(Life(traced.node, local, remote, passive, traced.listens, traced, match))

    def _find(self, traced: Traced) -> Sighted | None:
        if traced.listens:
            return self._paired.get(id(traced))
        pool: Sequence[Sighted] = self._sighted
        if traced.local.port and traced.remote.port:
            pool = self._by_tuple.get((traced.local, traced.remote), [])
        fitting = [each for each in pool if id(each) not in self._taken and _agree(traced, each)]
        if traced.cookie:
            named = [each for each in fitting if each.cookie == traced.cookie]
            if named:
                return named[0]
        fitting = [each for each in fitting if _timely(traced, each, self._pause)]
        return min(fitting, key=lambda each: _distance(traced, each), default=None)

    def _complete(self, traced: Traced) -> tuple[Address, Address]:
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
                and not any(life.local == mine and life.remote == other for life in self.lives)
            ):
                traced.node = node
                return mine, other
        return local, remote

    def _traced_elsewhere(self, traced: Traced) -> bool:
        """Whether a loopback address, which tells no host, has traffic on exactly one."""
        if not is_loopback(traced.local.ip):
            return False
        where = {node for node, mine, other in self._traffic.legs if (mine, other) == (traced.local, traced.remote)}
        if len(where) == 1:
            traced.node = where.pop()
        return bool(traced.node)

    # Lives that the tracepoint did not tell of.

    def _add_sighted(self, sighted: Sighted) -> None:
        passive = not sighted.listens and self._is_passive(sighted.node, sighted.local, sighted.remote, sighted)
        self.lives.append(Life(sighted.node, sighted.local, sighted.remote, passive, sighted.listens, None, sighted))

    def _is_passive(self, node: str, local: Address, remote: Address, sighted: Sighted | None) -> bool:
        if sighted and any(look.state is State.SYN_SENT for look in sighted.looks):
            return False
        for leg in self._legs(node, local, remote):
            if "S" in leg.passage.flags and (not sighted or leg.t <= sighted.looks[0].t + SLACK):
                return not leg.outgoing or "A" in leg.passage.flags
        if sighted and sighted.looks[0].state is State.SYN_RECEIVED:
            return True
        return any(life.listens and serves(life, node, local) for life in self.lives) or any(
            each.node == node and each.local.port == local.port for each in self._listeners
        )

    def _legs(self, node: str, local: Address, remote: Address) -> list[Leg]:
        return self._traffic.legs.get((node, local, remote), [])

    # Which segments belong to which life.

    def _bound(self) -> None:
        """Give each life its part of the segments between its two addresses."""
        groups: dict[tuple[str, Address, Address], list[Life]] = defaultdict(list)
        for life in self.lives:
            groups[life.node, life.local, life.remote].append(life)
        for (node, local, remote), lives in groups.items():
            lives.sort(key=lambda life: life.born)
            legs = self._legs(node, local, remote)
            before = -FOREVER
            for life in lives:
                life.start = max(before, _opening(life, legs))
                before = max(before, life.traced.ends if life.traced and life.traced.ends < FOREVER else life.born)
            for life, after in pairwise(lives):
                life.stop = after.start

    def _add_unseen(self, *, kernel_watched: bool, cookies: frozenset[str]) -> None:
        """Add the lives that only the capture shows."""
        known: dict[tuple[str, Address, Address], list[Life]] = defaultdict(list)
        for life in self.lives:
            known[life.node, life.local, life.remote].append(life)
        for key, legs in self._traffic.legs.items():
            found = list(_openings(legs))
            for place, (passive, opened) in enumerate(found):
                following = found[place + 1][1] if place + 1 < len(found) else FOREVER
                if any(life.start - SLACK <= opened < life.stop for life in known[key]):
                    continue
                if kernel_watched and passive and key[0] in cookies:
                    continue  # answered with a SYN cookie: there is no socket until it comes back
                if kernel_watched:
                    node, local, remote = key
                    self.objections.append(say("capture_alone", node=node, local=str(local), remote=str(remote)))
                self.lives.append(Life(*key, passive, False, None, None, opened, following))


def _follow(traced: Sequence[Traced]) -> None:
    """Tell each trace when the next one of the same addresses begins."""
    latest: dict[tuple[Address, Address], Traced] = {}
    for each in traced:
        if each.local.port and each.remote.port:
            before = latest.get((each.local, each.remote))
            if before:
                before.followed = each.begins
            latest[each.local, each.remote] = each


def _pair(traced: Sequence[Traced], sighted: Sequence[Sighted], pause: int) -> dict[int, Sighted]:
    """The look that belongs to each listener's trace, by its id(): those next to each other first.

    Worlds side by side on one kernel have the same addresses, and the tracepoint tells of all their listeners.
    """
    at_port: dict[int, list[Sighted]] = defaultdict(list)
    for look in sighted:
        at_port[look.local.port].append(look)
    near = [
        (not _same_cookie(trace, look), _distance(trace, look), place, trace, look)
        for trace in traced
        for place, look in enumerate(at_port[trace.local.port])
        if _agree(trace, look) and (_same_cookie(trace, look) or _fresh(trace, look, pause))
    ]
    paired: dict[int, Sighted] = {}
    taken: set[int] = set()
    for *_, trace, look in sorted(near, key=lambda pair: pair[:3]):
        if id(trace) not in paired and id(look) not in taken:
            paired[id(trace)] = look
            taken.add(id(look))
    return paired


def _same_cookie(traced: Traced, sighted: Sighted) -> bool:
    return traced.cookie != 0 and traced.cookie == sighted.cookie


def _fresh(traced: Traced, sighted: Sighted, pause: int) -> bool:
    """Whether a listener that was seen may be a traced one, by their times: the look before had not shown it yet."""
    began_before = traced.whole and traced.begins < sighted.looks[0].since - pause
    return not began_before and _timely(traced, sighted, pause)


def _agree(traced: Traced, sighted: Sighted) -> bool:
    """Whether two accounts may be of one socket, by node, cookie and addresses as far as known."""
    if traced.listens != sighted.listens or (traced.node and traced.node != sighted.node):
        return False
    if traced.cookie and sighted.cookie and traced.cookie != sighted.cookie:
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


def _timely(traced: Traced, sighted: Sighted, pause: int) -> bool:
    """Whether two accounts of the same addresses may be of one socket, by their times: a look takes some, too."""
    first, last = sighted.looks[0], sighted.looks[-1]
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


def _distance(traced: Traced, sighted: Sighted) -> int:
    settled = sighted.settled or sighted.looks[0]
    ends = sighted.looks[-1].t
    apart = abs(settled.t - traced.begins)
    return apart + (abs(ends - traced.ends) if traced.listens and traced.ends < FOREVER else 0)


def serves(listener: Life, node: str, local: Address) -> bool:
    """Whether a listener takes connections to a node's address."""
    return (
        listener.node in (node, "")
        and listener.local.port == local.port
        and (listener.local.ip in WILDCARDS or listener.local.ip == local.ip)
    )


def _opening(life: Life, legs: Sequence[Leg]) -> int:
    """When the first segment that belongs to a life passed."""
    if not life.passive:
        return life.born - SLACK
    known = life.sighted.looks[0].t if life.sighted else life.born
    syns = [leg for leg in legs if not leg.outgoing and _asks(leg) and leg.t <= known + SLACK]
    if not syns:
        return life.born - SLACK
    # A SYN that strays into a connection is never answered by a SYN-ACK.
    taken = {leg.passage.ack for leg in legs if _grants(leg)}
    syns = [leg for leg in syns if taken & _acknowledging(leg)] or syns
    same = [leg for leg in syns if leg.passage.seq == syns[-1].passage.seq]
    answered = _answered(same, legs, known)
    if answered is not None:
        return answered
    # Its SYN was the latest if it was seen as a request, else, seen late, the first.
    requested = life.sighted is not None and life.sighted.looks[0].state is State.SYN_RECEIVED
    return same[-1 if requested else 0].t


def _asks(leg: Leg) -> bool:
    """Whether a segment asks for a connection: a SYN that acknowledges nothing."""
    return leg.passage.flags.startswith("S") and "A" not in leg.passage.flags


def _grants(leg: Leg) -> bool:
    """Whether a segment answers such a one: a SYN-ACK, with ECN's flag or without (RFC 3168, section 6.1.1)."""
    return leg.outgoing and leg.passage.flags.startswith("SA")


def _acknowledging(syn: Leg) -> set[int]:
    """The numbers that a SYN-ACK answers a SYN with: without the data in it, or with (RFC 7413, section 4.1.2)."""
    return {add(syn.passage.seq, 1), add(syn.passage.seq, 1 + syn.passage.length)}


def _answered(syns: Sequence[Leg], legs: Sequence[Leg], known: int) -> int | None:
    """Which of a SYN's copies made the request: the last before its first SYN-ACK, by when it came.

    A copy before it may have been dropped (the accept queue was full), and one after it is answered by the same SYN-ACK
    again, whose sequence number is the request's own.
    """
    answers = [leg for leg in legs if _grants(leg) and syns[0].t <= leg.t <= known + SLACK]
    if not answers:
        return None
    first = next(leg.t for leg in answers if leg.passage.seq == answers[-1].passage.seq)
    return max((leg.t for leg in syns if leg.t <= first), default=syns[0].t)


def _openings(legs: Sequence[Leg]) -> Iterable[tuple[bool, int]]:
    """Where connections begin that this end took part in: whether it was asked, and when."""
    own: int | None = None  # the initial sequence number of the connection under way
    asked: dict[int, Leg] = {}  # the latest SYN by the number that acknowledges it
    for leg in legs:
        segment = leg.passage
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
