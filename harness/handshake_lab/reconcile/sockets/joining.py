"""Joins the observations of the same socket into one `ObservedSocket`.

A traced and a polled socket are the same if node and four-tuple agree, as far as they are known, and
their times fit. A traced or polled socket without a counterpart is a separate socket, because every observer
may miss one; so is a connection that only the capture contains.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.openings import opening_of, openings
from handshake_lab.reconcile.sockets.pairing import agree, distance_between, pair_listeners, set_followers, timely
from handshake_lab.reconcile.sockets.traced import FOREVER, SLACK, ObservedSocket, TracedSocket
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.node_addresses import WILDCARDS, is_loopback
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        sockets_polled: Whether the sockets were polled.
        traced_at_all: Whether tracepoints were available.
        all_traced: Whether they lost no events.
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
        sockets_polled: bool,
        traced_at_all: bool,
        all_traced: bool,
        shared: bool,
        cookies: frozenset[str],
        pause: int = SLACK,
    ) -> None:
        self.objections: list[Message] = []
        self._shared = shared
        self._all_traced = all_traced
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
        set_followers(in_order)
        self._whole: dict[tuple[Address, Address], list[TracedSocket]] = defaultdict(list)
        for each_traced in in_order:
            if each_traced.whole:
                self._whole[each_traced.local, each_traced.remote].append(each_traced)
        self._paired = pair_listeners([each for each in in_order if each.listens], self._listeners, pause)
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
        self._add_unseen(kernel_watched=sockets_polled or traced_at_all, cookies=cookies)
        self.all_observed.sort(key=lambda observed: observed.born)

    # Traced sockets, and the polled socket that belongs to each.

    def _add_traced(self, traced: TracedSocket) -> None:
        if self._is_of_another_namespace(traced):
            self._strangers.append((traced.local, traced.remote))
            return
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
        if match is None and (self._shared or not traced.whole) and not self._is_captured(traced, local, remote):
            self._strangers.append((local, remote))
            return
        passive = traced.passive or (not traced.whole and self._is_passive(traced.node, local, remote, match))
        self.all_observed.append(ObservedSocket(traced.node, local, remote, passive, traced.listens, traced, match))

    def _is_of_another_namespace(self, traced: TracedSocket) -> bool:
        """Whether it is the end of a socket of another run that had the same addresses as a connection of this one.

        Namespaces are removed later than their runs end. It began before the recording, since its beginning was not
        reported. In one namespace, only one socket has these addresses at a time: it would have ended before the other
        began, and would have sent or received something before its end.
        """
        if traced.whole or not self._all_traced:
            return False
        last = traced.events[-1].t
        others = [each for each in self._whole.get((traced.local, traced.remote), ()) if each.sk != traced.sk]
        if any(each.begins <= last for each in others):
            return True
        legs = self._legs(traced.node, traced.local, traced.remote)
        return bool(others) and not any(leg.t <= last for leg in legs)

    def _is_captured(self, traced: TracedSocket, local: Address, remote: Address) -> bool:
        """Whether segments of a socket were captured: those that open it, if a run beside may have its addresses."""
        legs = self._legs(traced.node, local, remote)
        if not (self._shared and traced.whole):
            return bool(legs)
        return any(
            abs(leg.t - traced.begins) <= self._pause
            and ("S" in leg.segment.flags or (before is not None and "S" in before.segment.flags))
            for before, leg in pairwise([None, *legs])
            if leg is not None
        )

    def _find(self, traced: TracedSocket) -> PolledSocket | None:
        if traced.listens:
            return self._paired.get(id(traced))
        pool: Sequence[PolledSocket] = self._polled
        if traced.local.port and traced.remote.port:
            pool = self._by_tuple.get((traced.local, traced.remote), [])
        fitting = [each for each in pool if id(each) not in self._taken and agree(traced, each)]
        if traced.cookie:
            named = [each for each in fitting if each.cookie == traced.cookie]
            if named:
                return named[0]
        fitting = [each for each in fitting if timely(traced, each, self._pause)]
        return min(fitting, key=lambda each: distance_between(traced, each), default=None)

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
                observed.start = max(before, opening_of(observed, legs))
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
            if kernel_watched and key[0] in self._traffic.routers:
                continue  # crafted at the router; the tracepoint would have reported a socket of the router
            found = list(openings(legs))
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


def serves(listener: ObservedSocket, node: str, local: Address) -> bool:
    """Whether a listener takes connections to a node's address."""
    return (
        listener.node in (node, "")
        and listener.local.port == local.port
        and (listener.local.ip in WILDCARDS or listener.local.ip == local.ip)
    )
