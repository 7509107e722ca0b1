"""Four observers, one truth: joins observations into one history per endpoint.

The work is done in rooms of its own: `passages` joins the captures, `sightings` and
`lives` sort what the kernel's observers said, `gather` finds who speaks of the same
socket, `account` puts each socket's states in order, `causes` and `endings` say why.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from harness.tcp.states import State
from harness.timeline.account import Account
from harness.timeline.case import Surroundings
from harness.timeline.causes import Causes
from harness.timeline.drafts import Draft
from harness.timeline.gather import Gathering, serves
from harness.timeline.history import Endpoint, Record
from harness.timeline.lives import SLACK, Life, trace
from harness.timeline.nodes import Nodes
from harness.timeline.observations import (
    Counters,
    End,
    Observation,
    RunHeader,
    SegmentSeen,
    SocketGone,
    SocketSeen,
    StateChange,
    Step,
    TcpEvent,
)
from harness.timeline.passages import Traffic, join
from harness.timeline.sightings import sort_looks
from harness.timeline.suspicions import unreal_resets, unsent_fins
from harness.timeline.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        self.objections: list[str] = []

    def record(self) -> Record:
        nodes = Nodes(self.header.nodes)
        traffic = join(self._of(SegmentSeen), nodes)
        gathered = Gathering(
            trace(self._of(StateChange), [event for _, event in self._of(TcpEvent)]),
            sort_looks(sorted([*self._of(SocketSeen), *self._of(SocketGone)], key=lambda pair: pair[0])),
            traffic,
            nodes,
            looked=bool(self._kinds[SocketSeen]),
            traced_at_all=bool(self._kinds[StateChange]),
            cookies=self._cookie_senders(),
        )
        if not self._kinds[SocketSeen] and (self._kinds[StateChange] or traffic.passages):
            self.objections.append(
                "nobody looked at the sockets: requests, TIME-WAIT and an orphan's FIN-WAIT-2 show in segments at most"
            )
        self.objections += gathered.objections
        endpoints = self._endpoints(gathered.lives, traffic)
        self.objections += unreal_resets([event for _, event in self._of(TcpEvent)], traffic, nodes)
        return Record(self.header, endpoints, traffic.passages, tuple(self.objections), self.complete)

    def _of(self, kind: type[T]) -> list[tuple[int, T]]:
        return self._kinds[kind]  # type: ignore[return-value]  # filed under its own type

    def _cookie_senders(self) -> frozenset[str]:
        return frozenset(
            counters.node
            for _, counters in self._of(Counters)
            if counters.grown.get("SyncookiesSent", 0) or counters.grown.get("SyncookiesRecv", 0)
        )

    def _endpoints(self, lives: list[Life], traffic: Traffic) -> tuple[Endpoint, ...]:
        steps: dict[str, list[Step]] = defaultdict(list)
        for _, step in self._of(Step):
            steps[step.node].append(step)
        grown = {counters.node: counters.grown for _, counters in self._of(Counters)}
        run = Surroundings(lives, steps, grown)
        built: dict[int, list[Draft]] = {}
        unsent = {(each.src, each.dst) for each in traffic.passages if each.sent is None and each.copies is None}
        for life in lives:
            life.unheard = (life.local, life.remote) in unsent
            legs = traffic.legs.get((life.node, life.local, life.remote), [])
            first, last = (bisect_left(legs, at, key=lambda leg: leg.t) for at in (life.start, life.stop))
            wire = Wire(legs[first:last])
            account = Account(
                life,
                wire,
                captured=bool(traffic.passages),
                traced=bool(self._kinds[StateChange]),
                cookies=life.node in self._cookie_senders(),
                end=self.end,
            )
            drafts = account.build()
            unsent_fins(drafts, wire)
            Causes(life, wire, run, legs[last] if last < len(legs) else None).assign(drafts)
            built[id(life)] = drafts
        listeners = [life for life in lives if life.listens]
        reached: set[int] = set()
        endpoints: list[tuple[int, int, Endpoint]] = []
        for life in lives:
            drafts = built[id(life)]
            if life.passive:
                listener = _listener_of(life, drafts, listeners)
                if listener is not None:
                    reached.add(id(listener))
                opened = drafts[0].time if drafts else life.born
                drafts = [_listening(listener, drafts, built), *drafts]
            else:
                opened = life.born
            if drafts and not life.listens:
                # In order of the connections, not of the listeners they came to.
                endpoints.append((opened, len(endpoints), self._endpoint(life, drafts)))
        for life in listeners:
            drafts = built[id(life)]
            if drafts and id(life) not in reached:
                endpoints.append((drafts[0].time, len(endpoints), self._endpoint(life, drafts)))
        return tuple(endpoint for _, _, endpoint in sorted(endpoints, key=lambda each: each[:2]))

    def _endpoint(self, life: Life, drafts: list[Draft]) -> Endpoint:
        return Endpoint(
            node=life.node,
            role="listener" if life.listens else "server" if life.passive else "client",
            local=life.local,
            remote=life.remote,
            cookie=life.cookie,
            transitions=tuple(draft.final() for draft in drafts),
            ended=self.end,
        )


def _listener_of(life: Life, drafts: list[Draft], listeners: list[Life]) -> Life | None:
    """The listener that took a connection: the latest one there was at that time."""
    at = drafts[0].time if drafts else life.born
    fitting = [
        listener for listener in listeners if serves(listener, life.node, life.local) and listener.born <= at + SLACK
    ]
    return fitting[-1] if fitting else None


def _listening(listener: Life | None, drafts: list[Draft], built: dict[int, list[Draft]]) -> Draft:
    """CLOSED→LISTEN: the listener's, or inferred where nobody saw one."""
    for draft in built.get(id(listener), []):
        if draft.new is State.LISTEN:
            return draft
    at = drafts[0].earliest if drafts else 0
    return Draft(State.CLOSED, State.LISTEN, at, 0, set(), edge="1")
