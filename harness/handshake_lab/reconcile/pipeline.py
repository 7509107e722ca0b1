"""Four observers, one truth: joins observations into one history per endpoint.

The work is done in rooms of its own: `passages` joins the captures, `sightings` and
`lives` sort what the kernel's observers said, `gather` finds who speaks of the same
socket, `account` puts each socket's states in order, `causes` and `endings` say why.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from handshake_lab.reconcile.causes.cause_finder import Causes
from handshake_lab.reconcile.causes.context import Surroundings
from handshake_lab.reconcile.segments.matching import Traffic, join
from handshake_lab.reconcile.segments.segment_index import Wire
from handshake_lab.reconcile.sockets.joining import Gathering
from handshake_lab.reconcile.sockets.polled import sort_looks
from handshake_lab.reconcile.sockets.traced import HELD_UP, SLACK, Life, trace
from handshake_lab.reconcile.states.anomalies import Mishaps, unreal_resets, unsent_fins
from handshake_lab.reconcile.states.endpoints import assemble
from handshake_lab.reconcile.states.state_sequence import Account
from handshake_lab.recording.history import Record
from handshake_lab.recording.messages import Said, say
from handshake_lab.recording.node_addresses import Nodes
from handshake_lab.recording.observations import (
    Counters,
    End,
    Missed,
    Observation,
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

    from handshake_lab.reconcile.states.draft import Draft

T = TypeVar("T")


def reconcile(observations: Iterable[Observation], *, until: int = 0) -> Record:
    """Join a run's observations into its record.

    Args:
        observations: In the order in which they were made, the header first.
        until: The time up to which was watched, where nothing was left to see at the end.

    Returns:
        What happened, each transition with its time, witnesses and cause, and with what
        does not fit.

    Raises:
        ValueError: The first observation is not the run's header.
    """
    return _Reconciliation(list(observations), until).record()


class _Reconciliation:
    def __init__(self, observations: list[Observation], until: int) -> None:
        if not observations or not isinstance(observations[0], RunHeader):
            raise ValueError("the first observation must be the run's header")
        self.header = observations[0]
        self.complete = isinstance(observations[-1], End)
        self.end = max(until, *(observation.t for observation in observations))
        self._kinds: dict[type, list[tuple[int, Observation]]] = defaultdict(list)
        ordered = sorted(enumerate(observations), key=lambda pair: pair[1].t)
        for place, (_, observation) in enumerate(ordered):
            self._kinds[type(observation)].append((place, observation))
        self.objections: list[Said] = []
        self._pause = HELD_UP if self.header.kernel.real_time else SLACK

    def record(self) -> Record:
        nodes = Nodes(self.header.nodes)
        traffic = join(self._of(SegmentSeen), nodes)
        captured = bool(traffic.passages) or self.header.observers.get(Witness.CAPTURE) == ""
        gathered = Gathering(
            trace(self._of(StateChange), [event for _, event in self._of(TcpEvent)]),
            sort_looks(sorted([*self._of(SocketSeen), *self._of(SocketGone)], key=lambda pair: pair[0])),
            traffic,
            nodes,
            looked=bool(self._kinds[SocketSeen]),
            traced_at_all=bool(self._kinds[StateChange]),
            # Only where others watched as well can it be told whose a socket is.
            shared=self.header.kernel.kind == "host" and bool(self._kinds[SocketSeen]) and captured,
            cookies=self._cookie_senders,
            pause=self._pause,
        )
        if not self._kinds[SocketSeen] and (self._kinds[StateChange] or traffic.passages):
            self.objections.append(say("sockets_unseen"))
        self.objections += [_missed(each) for _, each in self._of(Missed)]
        self.objections += gathered.objections
        endpoints = assemble(gathered.lives, self._build(gathered.lives, traffic), self.end)
        resets = [event for _, event in self._of(TcpEvent)]
        self.objections += unreal_resets(resets, traffic, nodes, gathered.lives, self._pause, self._blurred)
        objections = tuple(self.objections)
        return Record(self.header, endpoints, traffic.passages, objections, self.complete, self._blurred)

    def _of(self, kind: type[T]) -> list[tuple[int, T]]:
        return self._kinds[kind]  # type: ignore[return-value]  # filed under its own type

    def _build(self, lives: list[Life], traffic: Traffic) -> dict[int, list[Draft]]:
        """The transitions of every life, by its id()."""
        steps = [step for _, step in self._of(Step)]
        run = Surroundings(lives, steps, self._grown, self._pause, self._blurred)
        mishaps = Mishaps(traffic.passages)
        built: dict[int, list[Draft]] = {}
        for life in lives:
            mishaps.tell(life)
            legs = traffic.legs.get((life.node, life.local, life.remote), [])
            first, last = (bisect_left(legs, at, key=lambda leg: leg.t) for at in (life.start, life.stop))
            wire = Wire(legs[first:last])
            captured = bool(traffic.passages) and life.node not in self._blurred
            account = Account(
                life,
                wire,
                captured=captured,
                traced=bool(self._kinds[StateChange]),
                cookies=life.node in self._cookie_senders,
                end=self.end,
                pause=self._pause,
            )
            drafts = built[id(life)] = account.build()
            if captured:  # else the FIN may be among what the capture lost
                unsent_fins(drafts, wire)
            Causes(life, wire, run, legs[last] if last < len(legs) else None).assign(drafts)
        return built

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


def _missed(each: Missed) -> Said:
    if each.node:
        return say("missed_on", node=each.node, observer=each.observer, count=each.count)
    return say("missed", observer=each.observer, count=each.count)
