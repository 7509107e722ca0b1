"""Joins the observations of a run into its record.

The stages: `segments` matches the captures, `sockets` finds which observations belong to the same
socket, `states` puts each socket's states in order, and `causes` finds why each transition was made.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import msgspec

from handshake_lab.errors import RecordUnreadable
from handshake_lab.reconcile.causes.cause_finder import CauseFinder
from handshake_lab.reconcile.causes.context import RunContext
from handshake_lab.reconcile.segments.matching import MatchedSegments, join
from handshake_lab.reconcile.segments.segment_index import SegmentIndex
from handshake_lab.reconcile.sockets.cookies import cookie_syns, name_by_calls
from handshake_lab.reconcile.sockets.ignored import name_ignored, name_too_big
from handshake_lab.reconcile.sockets.joining import SocketJoin
from handshake_lab.reconcile.sockets.polled import sort_polls
from handshake_lab.reconcile.sockets.traced import HELD_UP, SLACK, ObservedSocket, trace
from handshake_lab.reconcile.states.anomalies import Anomalies, resets_not_received
from handshake_lab.reconcile.states.endpoints import assemble
from handshake_lab.reconcile.states.state_sequence import StateSequence
from handshake_lab.recording.history import Record
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.node_addresses import Nodes
from handshake_lab.recording.observations import (
    CounterGrowth,
    Counters,
    FaultReport,
    LinkChange,
    Missed,
    NetworkChange,
    NotRepeatable,
    Observation,
    QdiscReport,
    RunEnd,
    RunHeader,
    SegmentSeen,
    SocketGone,
    SocketSeen,
    StateChange,
    Step,
    TcpEvent,
    Witness,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.reconcile.states.draft import TransitionDraft

T = TypeVar("T")


def reconcile(observations: Iterable[Observation], *, until: int = 0) -> Record:
    """Make the record of a run from its observations.

    Args:
        observations: In the order in which they were recorded, the header first.
        until: When the recording ended, if that was after the last observation.

    Returns:
        The endpoints with their transitions, each with time, witnesses and cause, the segments, and objections.

    Raises:
        RecordUnreadable: The first observation is not the run's header.
    """
    return _Reconciliation(list(observations), until).record()


class _Reconciliation:
    def __init__(self, observations: list[Observation], until: int) -> None:
        if not observations or not isinstance(observations[0], RunHeader):
            raise RecordUnreadable("the first observation is not the header of a run")
        self.header = _extended(observations[0], observations)
        self.complete = isinstance(observations[-1], RunEnd)
        self.end = max(until, *(observation.t for observation in observations))
        self._kinds: dict[type, list[tuple[int, Observation]]] = defaultdict(list)
        ordered = sorted(enumerate(observations), key=lambda pair: pair[1].t)
        for place, (_, observation) in enumerate(ordered):
            self._kinds[type(observation)].append((place, observation))
        self.objections: list[Message] = []
        self._pause = HELD_UP if self.header.kernel.computing_takes_time else SLACK

    def record(self) -> Record:
        nodes = Nodes(self.header.nodes)
        traffic = join(self._captured("TCP"), nodes)
        datagrams = join(self._captured("UDP"), nodes, after=len(traffic.segments))
        captured = bool(traffic.segments) or self.header.observers.get(Witness.CAPTURE) == ""
        # Polls may find nothing: a connection within one host can open and end between two of them.
        polled = bool(self._kinds[SocketSeen]) or self.header.observers.get(Witness.DIAG) == ""
        gathered = SocketJoin(
            trace(self._of(StateChange), [event for _, event in self._of(TcpEvent)]),
            sort_polls(sorted([*self._of(SocketSeen), *self._of(SocketGone)], key=lambda pair: pair[0])),
            traffic,
            nodes,
            sockets_polled=polled,
            traced_at_all=bool(self._kinds[StateChange]),
            all_traced=self._all_traced,
            # The tracepoint alone does not show which run a socket belongs to.
            shared=self.header.kernel.kind == "host" and polled and captured,
            cookies=self._cookie_senders,
            pause=self._pause,
        )
        if not polled and (self._kinds[StateChange] or traffic.segments):
            self.objections.append(sentence("sockets_not_polled"))
        self.objections += [_missed(each) for _, each in self._of(Missed)]
        self.objections += [_not_repeatable(each) for _, each in self._of(NotRepeatable)]
        self.objections += gathered.objections
        name_by_calls(gathered.all_observed, [step for _, step in self._of(Step)])
        endpoints = assemble(gathered.all_observed, self._build(gathered.all_observed, traffic), self.end)
        resets = [event for _, event in self._of(TcpEvent)]
        self.objections += resets_not_received(
            resets, traffic, nodes, gathered.all_observed, self._pause, self._blurred
        )
        objections = tuple(self.objections)
        changes = tuple(change for _, change in self._of(LinkChange))
        drops = [event for event in resets if event.name == "kfree_skb"]
        return Record(
            header=self.header,
            endpoints=endpoints,
            segments=name_too_big(
                name_ignored(traffic.segments, drops, gathered.all_observed, self._pause),
                traffic.stops,
                [event.t for event in drops if event.reason == "PKT_TOO_BIG"],
                self._pause,
            ),
            queues=tuple(report for _, report in self._of(QdiscReport) if report.dropped),
            objections=objections,
            complete=self.complete,
            blurred=self._blurred,
            counters=self._grown,
            counter_growth=tuple(growth for _, growth in self._of(CounterGrowth)),
            full_queues=self._full_queues,
            datagrams=datagrams.segments,
            link_changes=changes,
        )

    def _captured(self, protocol: str) -> Iterable[tuple[int, SegmentSeen]]:
        return ((order, seen) for order, seen in self._of(SegmentSeen) if seen.protocol == protocol)

    def _of(self, kind: type[T]) -> list[tuple[int, T]]:
        return self._kinds[kind]  # type: ignore[return-value]  # the keys are the types

    def _build(self, all_observed: list[ObservedSocket], traffic: MatchedSegments) -> dict[int, list[TransitionDraft]]:
        """The transitions of each socket, by its id()."""
        steps = [step for _, step in self._of(Step)]
        events = [event for _, event in self._of(TcpEvent)]
        run = RunContext(
            all_observed, steps, self._grown, self._pause, self._blurred, events,
            all_traced=self._all_traced,
        )  # fmt: skip
        anomalies = Anomalies(traffic.segments)
        built: dict[int, list[TransitionDraft]] = {}
        cookies = cookie_syns(traffic.segments, [growth for _, growth in self._of(CounterGrowth)])
        for observed in all_observed:
            anomalies.mark(observed)
            legs = traffic.legs.get((observed.node, observed.local, observed.remote), [])
            first, last = (bisect_left(legs, at, key=lambda leg: leg.t) for at in (observed.start, observed.stop))
            index = SegmentIndex(legs[first:last])
            captured = bool(traffic.segments) and observed.node not in self._blurred
            sequence = StateSequence(
                observed,
                index,
                captured=captured,
                traced=bool(self._kinds[StateChange]),
                cookies=observed.node in self._cookie_senders,
                end=self.end,
                pause=self._pause,
                cookie_syns=cookies,
            )
            drafts = built[id(observed)] = sequence.build()
            CauseFinder(observed, index, run, legs[last] if last < len(legs) else None).assign(drafts)
        return built

    @cached_property
    def _all_traced(self) -> bool:
        """Whether the tracepoints were available and lost no events."""
        lost = any(each.observer == "tracepoint" for _, each in self._of(Missed))
        return bool(self._kinds[StateChange]) and not lost

    @cached_property
    def _full_queues(self) -> dict[str, int]:
        """Packets that queues dropped because they were full; empty if a link's loss or a fault dropped some too."""
        reports = [report for _, report in self._of(QdiscReport) if report.dropped]
        faults = any(report.fired and report.fault.startswith("drop") for _, report in self._of(FaultReport))
        if faults or any("loss" in report.asked for report in reports):
            return {}
        return {report.interface: report.dropped for report in reports}

    @cached_property
    def _grown(self) -> dict[str, dict[str, int]]:
        return {counters.node: counters.grown for _, counters in self._of(Counters)}

    @cached_property
    def _blurred(self) -> frozenset[str]:
        """The nodes whose captures are known to have lost segments."""
        lost = frozenset(each.node for _, each in self._of(Missed) if each.observer == "capture")
        return frozenset({*self.header.nodes, ""}) if "" in lost else lost

    @cached_property
    def _cookie_senders(self) -> frozenset[str]:
        return frozenset(
            node for node, grown in self._grown.items() if grown.get("SyncookiesSent") or grown.get("SyncookiesRecv")
        )


def _extended(header: RunHeader, observations: Iterable[Observation]) -> RunHeader:
    """The header, with the nodes and links that were created later."""
    changes = [each for each in observations if isinstance(each, NetworkChange)]
    if not changes:
        return header
    nodes = {name: list(addresses) for name, addresses in header.nodes.items()}
    for change in changes:
        for name, addresses in change.nodes.items():
            known = nodes.setdefault(name, [])
            known += [address for address in addresses if address not in known]
    links = dict.fromkeys([*header.links, *(link for change in changes for link in change.links)])
    return msgspec.structs.replace(header, nodes=nodes, links=list(links))


def _not_repeatable(each: NotRepeatable) -> Message:
    if each.node:
        code = {"preempted": "preempted_on", "random_instruction": "random_instruction_on"}[each.reason]
        return sentence(code, node=each.node, program=each.program)
    return sentence(each.reason, program=each.program)


def _missed(each: Missed) -> Message:
    if each.node:
        return sentence("missed_on", node=each.node, observer=each.observer, count=each.count)
    return sentence("missed", observer=each.observer, count=each.count)
