"""Hypothesis strategies: two TCP endpoints that communicate over a lossy path, and the reports of observers.

`Talk` is a small TCP of its own, written from RFC 9293 and from what Linux shows of its
states. It knows the truth: every state each end went through. `watched` renders that as
the tracepoint, sock_diag and a capture would report it, each with its own clock error.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Literal

from handshake_lab.recording.observations import (
    FORMAT_VERSION,
    Address,
    KernelInfo,
    Observation,
    RunEnd,
    RunHeader,
    SegmentSeen,
    SocketGone,
    SocketSeen,
    StateChange,
)
from handshake_lab.tcp.sequence_numbers import add, distance
from handshake_lab.tcp.states import State
from hypothesis import strategies as st
from msgspec import structs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = State
ANY = Address("0.0.0.0", 0)  # noqa: S104 - compared with, not bound to
MS = 1_000_000
SECOND = 1000 * MS
TIME_WAIT = 61 * SECOND
CLIENT = Address("10.0.0.1", 40000)
SERVER = Address("10.0.0.2", 80)

Ending = Literal["close", "shutdown", "abort", "never"]


@dataclass(frozen=True)
class Plan:
    """What the two programs do, and what the path does to their segments."""

    simultaneous: bool  #: both connect, instead of one listening
    endings: tuple[Ending, Ending]
    when: tuple[int, int]  #: milliseconds after the start
    data: tuple[int, int]  #: bytes that each sends once it can
    delay: tuple[int, int]  #: milliseconds, from the client and to it
    lost: frozenset[int]  #: which segments, counted over both directions


@dataclass
class Segment:
    """A segment on its way."""

    flags: str
    seq: int
    ack: int
    length: int = 0


@dataclass
class Side:
    """One end: its state, and what it has sent and received."""

    name: str
    local: Address
    remote: Address
    initial: int
    sk: int
    cookie: int
    passive: bool
    state: State = S.CLOSED
    orphan: bool = False
    mini: bool = False  #: a mini-socket: the tracepoint sees it no more
    expected: int = 0
    sent: int = 0  #: behind all that was sent
    acked: int = 0
    queue: list[tuple[str, int]] = field(default_factory=list)
    busy: bool = False
    tries: int = 0
    generation: int = 0
    history: list[tuple[int, State]] = field(default_factory=list)


class Talk:
    """Plays a plan out.

    Attributes:
        traces: (time, side, old, new) as the tracepoint reports them.
        polls: (time, side, state or None, mini) after every event at a side.
        sights: (time, side, direction, segment) at each side.
        end: When it ended.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._segments = 0
        self.traces: list[tuple[int, Side, State, State]] = []
        self.polls: list[tuple[int, Side, State | None, bool]] = []
        self.sights: list[tuple[int, Side, Literal["sent", "received"], Segment]] = []
        self.listened = not plan.simultaneous
        self.a = Side("h1", CLIENT, SERVER, 1000, 0xA0, 7, passive=False)
        self.b = Side("h2", SERVER, CLIENT, 0xFFFF_FF00, 0xB0, 9, passive=not plan.simultaneous)
        for side, ending, when in zip((self.a, self.b), plan.endings, plan.when, strict=True):
            side.history.append((0, S.CLOSED))
            side.sent = side.acked = side.initial
            self._at(1 * MS, partial(self._open, side))
            self._at((1 + when) * MS, partial(self._end, side, ending))
        self._run()
        self.end = self.now + 200 * SECOND

    # Time.

    def _at(self, time: int, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (time, self._count, do))

    def _later(self, wait: int, do: Callable[[], None]) -> None:
        """Set a timer. A recorder also polls shortly before a timer expires."""
        self._at(self.now + wait - 2 * MS, lambda: None)
        self._at(self.now + wait, do)

    def _run(self) -> None:
        while self._agenda:
            self.now, _, do = heapq.heappop(self._agenda)
            do()
            for side in (self.a, self.b):
                shown = None if side.state in (S.CLOSED, S.LISTEN) else side.state
                self.polls.append((self.now, side, shown, side.mini))

    # States.

    def _become(self, side: Side, new: State) -> None:  # noqa: C901 - one branch for each way Linux shows a state
        old = side.state
        if old is new:
            return
        side.history.append((self.now, new))
        if old is S.SYN_RECEIVED and side.passive and new is not S.LISTEN and new is not S.CLOSED:
            self.traces += [(self.now, side, S.LISTEN, S.SYN_RECEIVED), (self.now, side, old, new)]
        elif side.passive and (new in (S.SYN_RECEIVED, S.LISTEN) or old in (S.SYN_RECEIVED, S.LISTEN)):
            pass  # a request socket: the tracepoint is silent
        elif new is S.TIME_WAIT:
            if not side.mini:
                if old is S.FIN_WAIT_1:  # note 2 of Figure 5: two steps to the kernel
                    self.traces.append((self.now, side, old, S.FIN_WAIT_2))
                    old = S.FIN_WAIT_2
                self.traces.append((self.now, side, old, S.CLOSED))
            side.mini = True
        elif not side.mini:
            self.traces.append((self.now, side, old, new))
        side.state = new
        side.generation += 1
        if new is S.FIN_WAIT_2 and side.orphan:
            self.traces.append((self.now, side, new, S.CLOSED))
            side.mini = True
        if new is S.TIME_WAIT or (new is S.FIN_WAIT_2 and side.mini):
            self._expire(side)
        if new in (S.CLOSED, S.LISTEN):
            side.queue.clear()
            side.mini = False

    def _expire(self, side: Side) -> None:
        side.generation += 1
        generation = side.generation

        def over() -> None:
            if side.generation == generation:
                self._become(side, S.CLOSED)

        self._later(TIME_WAIT, over)

    # Programs.

    def _open(self, side: Side) -> None:
        if side.passive:
            side.history.append((self.now, S.LISTEN))
            side.state = S.LISTEN
            return
        self._become(side, S.SYN_SENT)
        self._queue(side, "S", 1)

    def _end(self, side: Side, ending: Ending) -> None:
        if ending == "never" or side.state in (S.CLOSED, S.LISTEN) or side.mini:
            return
        if side.state is S.SYN_RECEIVED:
            self._at(self.now + 100 * MS, lambda: self._end(side, ending))  # a program has no such socket yet
        elif side.state is S.SYN_SENT:
            self._become(side, S.CLOSED)
        elif ending == "abort":
            flags = "RA"
            self._become(side, S.CLOSED)
            self._send(side, Segment(flags, side.sent, side.expected))
        else:
            side.orphan = ending == "close"
            if side.state is S.ESTABLISHED:
                self._become(side, S.FIN_WAIT_1)
            elif side.state is S.CLOSE_WAIT:
                self._become(side, S.LAST_ACK)
            else:
                return
            self._queue(side, "F", 1)

    # Sending: one unit at a time, again until it is acknowledged.

    def _queue(self, side: Side, kind: str, length: int) -> None:
        side.queue.append((kind, length))
        if not side.busy:
            self._next(side)

    def _next(self, side: Side) -> None:
        side.busy = bool(side.queue)
        side.tries = 0
        if side.busy:
            side.sent = add(side.acked, side.queue[0][1])
            self._transmit(side)

    def _transmit(self, side: Side) -> None:
        kind, length = side.queue[0]
        syn = "SA" if side.state is S.SYN_RECEIVED else "S"
        flags = {"S": syn, "F": "FA", "D": "PA"}[kind]
        ack = side.expected if "A" in flags else 0
        self._send(side, Segment(flags, side.acked, ack, length if kind == "D" else 0))
        side.tries += 1
        unit, tries = (side.acked, side.queue[0]), side.tries

        def again() -> None:
            if side.queue and (side.acked, side.queue[0]) == unit and side.tries == tries:
                if side.tries > 3:
                    side.queue.clear()
                    self._become(side, S.CLOSED)
                else:
                    self._transmit(side)

        self._later(SECOND << (tries - 1), again)

    def _send(self, side: Side, segment: Segment) -> None:
        number = self._segments
        self._segments += 1
        self.sights.append((self.now, side, "sent", segment))
        if number in self.plan.lost:
            return
        other = self.b if side is self.a else self.a
        delay = self.plan.delay[0 if side is self.a else 1] * MS
        self._at(self.now + delay, lambda: self._receive(other, segment))

    def _acknowledge(self, side: Side) -> None:
        self._send(side, Segment("A", side.sent, side.expected))

    # Receiving.

    def _receive(self, side: Side, segment: Segment) -> None:
        self.sights.append((self.now, side, "received", segment))
        if side.state is S.LISTEN:
            self._listen(side, segment)
        elif side.state is S.CLOSED:
            self._refuse(side, segment)
        elif side.state is S.SYN_SENT:
            self._answered(side, segment)
        else:
            self._synchronized(side, segment)

    def _refuse(self, side: Side, segment: Segment) -> None:
        if "R" in segment.flags:
            return
        if "A" in segment.flags:
            self._send(side, Segment("R", segment.ack, 0))
        else:
            self._send(side, Segment("RA", 0, add(segment.seq, 1)))

    def _listen(self, side: Side, segment: Segment) -> None:
        if segment.flags != "S":
            self._refuse(side, segment)
        elif side.sent == side.initial:  # one connection only: later SYNs find the queue full
            side.expected = add(segment.seq, 1)
            self._become(side, S.SYN_RECEIVED)
            self._queue(side, "S", 1)

    def _answered(self, side: Side, segment: Segment) -> None:
        if "A" in segment.flags and segment.ack != add(side.initial, 1):
            self._refuse(side, segment)
        elif "R" in segment.flags:
            if "A" in segment.flags:
                self._become(side, S.CLOSED)
        elif "S" in segment.flags:
            side.expected = add(segment.seq, 1)
            if "A" in segment.flags:
                self._become(side, S.ESTABLISHED)
                self._acknowledge(side)
                self._take_ack(side, segment)
                self._established(side)
            else:
                self._become(side, S.SYN_RECEIVED)
                self._transmit(side)

    def _established(self, side: Side) -> None:
        length = self.plan.data[0 if side is self.a else 1]
        if length:
            self._queue(side, "D", length)

    def _take_ack(self, side: Side, segment: Segment) -> bool:
        """Whether it acknowledges this side's FIN."""
        if "A" not in segment.flags or distance(side.acked, segment.ack) <= 0 or not side.queue:
            return False
        kind, _ = side.queue.pop(0)
        side.acked = segment.ack
        self._next(side)
        return kind == "F"

    def _synchronized(self, side: Side, segment: Segment) -> None:  # noqa: C901 - one branch a check of 3.10.7.4
        if "R" in segment.flags:
            if segment.seq == side.expected:
                back = side.state is S.SYN_RECEIVED and side.passive
                self._become(side, S.LISTEN if back else S.CLOSED)
            return
        if "S" in segment.flags:
            if side.state is S.SYN_RECEIVED and "A" not in segment.flags:
                if side.passive:
                    self._send(side, Segment("SA", side.initial, side.expected))
                return
            if side.state is not S.SYN_RECEIVED:
                self._acknowledge(side)
                return
        if side.state is S.SYN_RECEIVED:
            if segment.ack != add(side.initial, 1):
                return
            self._become(side, S.ESTABLISHED)
            self._take_ack(side, segment)
            if "S" in segment.flags:
                self._acknowledge(side)
            self._established(side)
        elif self._take_ack(side, segment) and not self._fin_acknowledged(side, segment):
            return
        self._take_text(side, segment)

    def _fin_acknowledged(self, side: Side, segment: Segment) -> bool:
        """Whether the connection continues."""
        if side.state is S.FIN_WAIT_1:
            if "F" in segment.flags and segment.seq == side.expected:
                side.expected = add(side.expected, 1)
                self._become(side, S.TIME_WAIT)
                self._acknowledge(side)
                return False
            self._become(side, S.FIN_WAIT_2)
        elif side.state is S.CLOSING:
            self._become(side, S.TIME_WAIT)
        elif side.state is S.LAST_ACK:
            self._become(side, S.CLOSED)
            return False
        return True

    def _take_text(self, side: Side, segment: Segment) -> None:
        if not segment.length and "F" not in segment.flags:
            return
        if segment.seq != side.expected:
            if side.state is S.TIME_WAIT and "F" in segment.flags:
                self._expire(side)
            self._acknowledge(side)
            return
        if segment.length and side.orphan and side.state in (S.FIN_WAIT_1, S.FIN_WAIT_2):
            self._become(side, S.CLOSED)
            self._refuse(side, segment)
            return
        side.expected = add(side.expected, segment.length + ("F" in segment.flags))
        if "F" in segment.flags:
            following = {S.ESTABLISHED: S.CLOSE_WAIT, S.FIN_WAIT_1: S.CLOSING, S.FIN_WAIT_2: S.TIME_WAIT}
            self._become(side, following.get(side.state, side.state))
        self._acknowledge(side)


@dataclass(frozen=True)
class Sight:
    """How well the observers see: which are blind, what each misses, and how wrong its clock is."""

    blind: frozenset[str] = frozenset()
    misses: str = ""  #: the one observer that misses some of what it should see
    rate: float = 0.0
    offsets: tuple[int, int, int] = (0, 0, 0)  #: nanoseconds: tracepoint, diag, capture
    seed: int = 0


def watched(talk: Talk, sight: Sight) -> list[Observation]:
    """The observers' reports of an exchange, in an order in which a recorder might write them."""
    random = Random(sight.seed)  # noqa: S311 - not for secrets
    offsets = dict(zip(("tracepoint", "diag", "capture"), sight.offsets, strict=True))
    reports: list[tuple[int, float, Observation]] = []
    for name, made in (("tracepoint", _traced(talk)), ("diag", _looked(talk)), ("capture", _captured(talk))):
        # An observer keeps its own order; among observers it is anybody's guess.
        tie = random.random()
        for observation in made:
            if name not in sight.blind and (name != sight.misses or random.random() >= sight.rate):
                late = _late(observation, offsets[name])
                reports.append((late.t, tie, late))
    reports.sort(key=lambda report: report[:2])
    return [_header(), *(observation for _, _, observation in reports), RunEnd(t=talk.end)]


def _late(observation: Observation, by: int) -> Observation:
    """The same by a clock that is wrong."""
    if isinstance(observation, (SocketSeen, SocketGone)):
        return structs.replace(observation, t=observation.t + by, since=observation.since + by)
    return structs.replace(observation, t=observation.t + by)


def _header() -> RunHeader:
    return RunHeader(
        t=0,
        version=FORMAT_VERSION,
        kernel=KernelInfo("vm", "7.3.4", 250, None),
        topology="pair",
        nodes={"h1": ["10.0.0.1"], "h2": ["10.0.0.2"]},
        links=[],
        faults=[],
        observers={"tracepoint": "", "diag": "", "capture": ""},
        started="2026-01-01T00:00:00+00:00",
    )


def _traced(talk: Talk) -> Iterator[Observation]:
    if talk.listened:
        yield StateChange(1 * MS, 0xC0, S.CLOSED, S.LISTEN, SERVER, ANY)
    for t, side, old, new in talk.traces:
        local = Address(side.local.ip, 0) if new is S.SYN_SENT else side.local  # not bound yet
        yield StateChange(t, side.sk, old, new, local, side.remote)


def _looked(talk: Talk) -> Iterator[Observation]:
    if talk.listened:
        yield SocketSeen(1 * MS, 0, "h2", 5, S.LISTEN, SERVER, ANY, inode=1)
    last: dict[str, tuple[State | None, bool]] = {}
    previous: dict[str, int] = {}
    for t, side, state, mini in talk.polls:
        before, _ = shown = last.get(side.name, (None, False))
        since = previous.get(side.name, 0)
        previous[side.name] = t
        if (state, mini) == shown:
            continue
        last[side.name] = (state, mini)
        ends = (side.local, side.remote)
        if state is None:
            yield SocketGone(t, since, side.name, side.cookie, before or S.CLOSED, *ends)
        elif state is S.SYN_RECEIVED:
            yield SocketSeen(t, since, side.name, side.cookie, state, *ends, timer="on", expires=SECOND)
        elif mini:
            yield SocketSeen(t, since, side.name, side.cookie, state, *ends, timer="timewait", expires=TIME_WAIT)
        else:
            yield SocketSeen(t, since, side.name, side.cookie, state, *ends)


def _captured(talk: Talk) -> Iterator[Observation]:
    for t, side, direction, segment in talk.sights:
        src, dst = (side.local, side.remote) if direction == "sent" else (side.remote, side.local)
        what = (segment.flags, segment.seq, segment.ack, segment.length, 65535, b"")
        yield SegmentSeen(t, side.name, f"{side.name}-eth0", direction, src, dst, *what)


endings: st.SearchStrategy[Ending] = st.sampled_from(["close", "shutdown", "abort", "never"])
moments = st.integers(min_value=0, max_value=600)
delays = st.sampled_from([5, 20, 50, 80, 300])
lengths = st.sampled_from([0, 0, 1, 1000])

#: Every way in which two ends can open, talk and part, over a path that loses some of it.
plans = st.builds(
    Plan,
    simultaneous=st.booleans(),
    endings=st.tuples(endings, endings),
    when=st.tuples(moments, moments),
    data=st.tuples(lengths, lengths),
    delay=st.tuples(delays, delays),
    lost=st.frozensets(st.integers(min_value=0, max_value=25), max_size=8),
)

#: Clocks less than 0.3 ms apart.
offsets = st.tuples(*[st.integers(min_value=-150_000, max_value=150_000)] * 3)
observers = st.sampled_from(["tracepoint", "diag", "capture"])
seeds = st.integers(min_value=0, max_value=2**32)
