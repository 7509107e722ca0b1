"""One transition, with all evidence that can show its cause."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

from handshake_lab.reconcile.sockets.traced import SLACK, ObservedSocket
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import sentence
from handshake_lab.recording.node_addresses import plain
from handshake_lab.recording.observations import Step, TcpEvent, Witness
from handshake_lab.tcp.icmp import TOO_BIG
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import LATENESS_DIVISOR, SECOND

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from handshake_lab.reconcile.segments.matching import SegmentAtEnd
    from handshake_lab.reconcile.segments.segment_index import Mark, SegmentIndex
    from handshake_lab.reconcile.states.draft import TransitionDraft
    from handshake_lab.tcp.address import Address
    from handshake_lab.tcp.diagram.edge import Trigger

#: States of a socket that its program may have closed.
ORPHANS = (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK)

#: What connect() returns for an ICMP error (icmp_err_convert, net/ipv4/icmp.c; icmpv6_err_convert(), net/ipv6/icmp.c).
ICMP_ERRORS = (
    "EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "ENOPROTOOPT", "EPROTO", "EACCES", "EOPNOTSUPP", "ENOTSUP",
    "EHOSTDOWN", "ENONET",
)  # fmt: skip

#: Nanoseconds of a jiffy of the slowest clock: HZ is at least 100.
JIFFY = 10_000_000


class FoundCause(NamedTuple):
    """A cause, and its segment if there is one."""

    why: Trigger | None
    cause: Cause
    leg: SegmentAtEnd | None = None


def received(leg: SegmentAtEnd, kind: Literal["segment", "reset"] = "segment") -> Cause:
    """A received segment as a cause."""
    return Cause(kind, sentence("received", what=leg.segment.name), leg.segment.number)


@overload
def number_of(leg: SegmentAtEnd) -> int: ...
@overload
def number_of(leg: None) -> None: ...
def number_of(leg: SegmentAtEnd | None) -> int | None:
    """The number of a segment; None without one."""
    return leg.segment.number if leg else None


class RunContext:
    """The parts of a run that are needed in addition to one endpoint's own segments.

    Args:
        all_observed: All its sockets.
        steps: The programs' calls, in order of time.
        grown: The growth of each node's counters.
        pause: Nanoseconds that may pass between observations of the same event: `SLACK`, or `HELD_UP` in real time.
        blurred: The nodes whose captures lost segments: there may have been a RST that was not captured.
        events: The tracepoints' events other than state changes.
        all_traced: Whether the tracepoints were available and lost no events.
    """

    def __init__(
        self,
        all_observed: Sequence[ObservedSocket],
        steps: Sequence[Step],
        grown: Mapping[str, Mapping[str, int]],
        pause: int = SLACK,
        blurred: Container[str] = (),
        events: Iterable[TcpEvent] = (),
        *,
        all_traced: bool = False,
    ) -> None:
        self.all_traced = all_traced
        self.grown = grown
        self.blurred = blurred
        self.pause = pause
        #: When each socket of the kernel's began a connection, or to listen.
        self.used: dict[int, list[int]] = defaultdict(list)
        self._opened: dict[tuple[str, Address, Address], list[int]] = defaultdict(list)
        for observed in all_observed:
            if observed.traced:
                self.used[observed.traced.sk].append(observed.traced.begins)
                if not observed.passive:
                    self._opened[observed.node, observed.local, observed.remote].append(observed.traced.begins)
        self.listeners = [observed for observed in all_observed if observed.listens]
        self._steps: dict[tuple[str, int], list[Step]] = defaultdict(list)
        self._accepted: set[tuple[str, str]] = set()
        for step in steps:
            self._steps[step.node, step.cookie].append(step)
            if step.call.startswith("accept"):
                self._accepted.add((step.node, step.result))
        self._events: dict[tuple[str, Address, Address], list[TcpEvent]] = defaultdict(list)
        self.released: dict[int, list[int]] = defaultdict(
            list
        )  # by socket, because its addresses may be cleared by then
        for event in events:
            if event.name == "tcp_destroy_sock":
                self.released[event.sk].append(event.t)
            self._events[event.name, plain(event.local), plain(event.remote)].append(event)
        self.stopped = [(observed, observed.died) for observed in self.listeners if observed.died is not None]

    def records(self, node: str, cookie: int) -> bool:
        """Whether the calls on a socket were recorded: its own, or the accept() that made it."""
        return bool(self._steps.get((node, cookie))) or (node, str(cookie)) in self._accepted

    def events(self, name: str, observed: ObservedSocket) -> list[TcpEvent]:
        """The events of a name between a socket's addresses, in order of time."""
        return self._events.get((name, observed.local, observed.remote), [])

    def opened(self, observed: ObservedSocket) -> list[int]:
        """When connect() was called with a socket's addresses: for that socket, and for others."""
        return self._opened.get((observed.node, observed.local, observed.remote), [])

    def steps_of(self, observed: ObservedSocket) -> list[Step]:
        """The calls on a socket, and those of its node without a socket, in order of time."""
        named = self._steps.get((observed.node, observed.cookie), []) if observed.cookie else []
        unnamed = self._steps.get((observed.node, 0), [])
        return sorted([*named, *unnamed], key=lambda step: step.t) if named and unnamed else named or unnamed


class TransitionContext:
    """A transition and its context.

    Args:
        observed: The socket.
        index: Its segments.
        drafts: All its transitions.
        place: The index of this one.
        run: The rest of the run.
        after: The first segment between the same addresses that belongs to the next connection.
    """

    def __init__(
        self,
        observed: ObservedSocket,
        index: SegmentIndex,
        drafts: Sequence[TransitionDraft],
        place: int,
        run: RunContext,
        after: SegmentAtEnd | None,
    ) -> None:
        self.observed = observed
        self.index = index
        self.drafts = drafts
        self.place = place
        self.draft = draft = drafts[place]
        self.run = run
        self.after = after
        self._steps = run.steps_of(observed)
        events = (each for each in reversed(observed.events) if (each.old, each.new) == (draft.old, draft.new))
        # The tracepoint's FIN-WAIT-2→CLOSED of an orphan is the beginning of a mini-socket, not its end.
        self._event = None if self.is_mini else next(events, None)

    @property
    def is_request(self) -> bool:
        """Whether it never became more than a request socket."""
        return self.draft.old is State.SYN_RECEIVED and self.observed.passive and not self.observed.events

    @property
    def in_task(self) -> bool | None:
        """Whether a task's call made the transition, not an interrupt; None if that was not recorded.

        Segments and timers are handled in interrupts, except while a task is using the socket.
        """
        return self._event.context == "task" if self._event and self._event.context else None

    @property
    def error(self) -> str | None:
        """The error that the kernel reported to the program at that time; "" if none, None if that was not recorded.

        Every end of a connection reports one, unless its program caused it (sk_error_report(), net/core/sock.c).
        """
        if self._event is None or not self._event.context:
            return None
        reports = self.run.events("inet_sk_error_report", self.observed)
        return next((each.reason for each in reports if abs(each.t - self._event.t) <= SLACK), "")

    @property
    def held(self) -> bool:
        """Whether a program held the socket, by the last poll before."""
        polls = [poll for poll in self.observed.polls if poll.t < self.draft.time - SLACK and not poll.gone]
        return not polls or getattr(polls[-1].seen, "inode", 0) != 0 or self.draft.old in (State.SYN_SENT, State.LISTEN)

    @property
    def accepted(self) -> bool:
        """Whether a poll before shows that a program held the socket: accept() had returned it."""
        polls = [poll for poll in self.observed.polls if poll.t <= self.draft.time and not poll.gone]
        return any(getattr(poll.seen, "inode", 0) for poll in polls)

    @property
    def is_mini(self) -> bool:
        """Whether it was a mini-socket by the last poll before: TIME-WAIT, or FIN-WAIT-2 of an orphan."""
        polls = [poll for poll in self.observed.polls if poll.t < self.draft.time and not poll.gone]
        return bool(polls) and polls[-1].mini

    @property
    def long_orphaned(self) -> bool:
        """Whether its program had closed it some time before."""
        before = self.drafts[self.place - 1] if self.place else None
        since = self.draft.time - before.time if before else 0
        return self.draft.old in ORPHANS and not self.held and since > self.run.pause

    @property
    def reset_reason(self) -> str:
        """The kernel's reason for a RST that it sent at that time; "" if it reports none (before Linux 6.11)."""
        sent = self.run.events("tcp_send_reset", self.observed)
        return next((each.reason for each in sent if self.near(each.t)), "")

    @property
    def destroyed_at_once(self) -> bool:
        """Whether the socket was destroyed together with the connection: no program held it."""
        sk = self.observed.traced.sk if self.observed.traced else 0
        return sk != 0 and any(self.near(t) for t in self.run.released.get(sk, ()))

    @property
    def kept(self) -> bool:
        """Whether the socket outlived the connection: a program still held it."""
        sk = self.observed.traced.sk if self.observed.traced else 0
        # All of these are the tracepoints' times. If the socket was used again before it was destroyed, it was kept.
        again = min((t for t in self.run.used.get(sk, ()) if t >= self.draft.time), default=0)
        last = again or self.draft.time + self.run.pause
        return (
            sk != 0
            and self.run.all_traced
            and not any(self.draft.earliest - SLACK <= t <= last for t in self.run.released.get(sk, ()))
        )

    def grown(self, counter: str) -> int | None:
        """The growth of one of the host's counters; None if they were not recorded."""
        grown = self.run.grown.get(self.observed.node)
        return None if grown is None else grown.get(counter, 0)

    def icmp(self) -> SegmentAtEnd | None:
        """The ICMP error that was received at that time; one that only reports the MTU ends nothing."""
        errors = [leg for leg in self.received() if leg.segment.icmp and not leg.segment.icmp.startswith(TOO_BIG)]
        return errors[-1] if errors else None

    def near(self, t: int) -> bool:
        """Whether a time is that of the transition, within clock tolerance."""
        return self.draft.earliest - SLACK <= t <= self.draft.time + SLACK

    def belongs(self, leg: SegmentAtEnd) -> bool:
        """Whether a segment can be the transition's cause, by its time of arrival, or its effect, by that of sending.

        A segment that is sent after another arrival answers that one, and segments before the previous transition do
        not count. A RST is sent before its socket is closed (tcp_write_err(), tcp_keepalive_timer()).
        """
        first = self._still_open_at(self.draft.earliest)
        if not leg.outgoing:
            return first <= leg.t <= self.draft.time + SLACK
        over = self.draft.time + SLACK
        if any(not other.outgoing and over < other.t <= leg.t for other in self.index.legs):
            return False
        return first <= leg.t <= self.draft.time + self.run.pause

    def marked(self, mark: Mark) -> SegmentAtEnd | None:
        """The segment with a mark at that time."""
        for leg, marks in zip(self.index.legs, self.index.marks, strict=True):
            if mark in marks and self.belongs(leg):
                return leg
        return None

    def received(self) -> list[SegmentAtEnd]:
        """The segments received at that time."""
        return [leg for leg in self.index.legs if not leg.outgoing and self.belongs(leg)]

    def answered_by(self, answer: SegmentAtEnd) -> list[SegmentAtEnd]:
        """The segments received just before one that is sent as an immediate answer, such as a RST."""
        first, last = self._still_open_at(answer.t), answer.t + SLACK
        return [leg for leg in self.index.legs if not leg.outgoing and first <= leg.t <= last]

    def _still_open_at(self, t: int) -> int:
        """The earliest time of a segment that can belong to a transition at ``t``."""
        # One segment may cause two transitions: one at the very time of the previous transition counts too.
        earlier = [draft.time for draft in self.drafts[: self.place] if draft.time < self.draft.earliest - SLACK]
        before = earlier[-1] + SLACK if earlier else 0
        return min(max(t - self.run.pause, before), t - SLACK)

    def called(self, *names: str) -> str:
        """The recorded call on this socket that was in progress at that time; "" if there was none."""
        for place, step in enumerate(self._steps):
            if step.phase != "begins" or not step.call.startswith(names) or step.t > self.draft.time + SLACK:
                continue
            if ended(self._steps[place:]) >= self.draft.earliest - SLACK:
                self.draft.witnesses.add(Witness.APPLICATION)
                return spell(step)
        return ""

    def failed_with(self, *errors: str) -> bool:
        """Whether a call on this socket ended with one of these errors at that time, or soon after."""
        first, last = self.draft.earliest - SLACK, self.draft.time + self.run.pause
        return any(step.phase == "ends" and step.result in errors and first <= step.t <= last for step in self._steps)

    def by_another_task(self) -> bool:
        """Whether the transition ran in another task than the one that opened the socket.

        The opener of a child is that of its listener, if the calls on the child itself were recorded.
        """
        opener = self.observed.opener
        if self.observed.passive and self.programs_recorded:
            at = self.observed.local.port
            opener = next((each.opener for each in self.run.listeners if each.local.port == at and each.opener), 0)
        pid = next((event.pid for event in self.observed.events if event.new is self.draft.new), 0)
        return opener not in (0, pid) and pid != 0

    @property
    def programs_recorded(self) -> bool:
        """Whether the calls on this socket were recorded."""
        cookie = self.observed.cookie
        return cookie != 0 and (self.run.records(self.observed.node, cookie))

    def listener_stopped(self, *, exactly: bool = False) -> bool:
        """Whether the listener of this connection had been closed, or was closed at that time."""
        return any(
            listener.node in (self.observed.node, "")
            and listener.local.port == self.observed.local.port
            and self.observed.born <= at + SLACK
            and (self.near(at) and self._follows(listener) if exactly else at <= self.draft.time + SLACK)
            for listener, at in self.run.stopped
        )

    def _follows(self, listener: ObservedSocket) -> bool:
        """Whether the tracepoint reported the end of a listener before this one, as far as it reported both."""
        if self._event is None or not listener.events:
            return True
        return listener.events[-1].order < self._event.order

    def due(self, at: int, after: int) -> bool:
        """Whether the transition fits a timer that was set to ``after`` nanoseconds and due at ``at``."""
        latest = at + after // LATENESS_DIVISOR + 2 * JIFFY + SLACK
        return self.draft.time >= at - JIFFY and self.draft.earliest <= latest

    def silence(self) -> list[SegmentAtEnd]:
        """The segments sent since the last one was received, up to that time."""
        out: list[SegmentAtEnd] = []
        for leg in self.index.legs:
            if leg.t > self.draft.time or "R" in leg.segment.flags:
                break
            out = [*out, leg] if leg.outgoing else []
        return out

    def waited(self) -> bool:
        """Whether at least a second, the shortest timer of a handshake, passed without a segment."""
        if self.index.leaky or self.observed.uncaptured:
            return False
        before = [leg for leg in self.index.legs if leg.t <= self.draft.earliest]
        # The segment that the timer is for must have been sent, and none received since.
        return bool(before) and before[-1].outgoing and self.draft.earliest - before[-1].t >= SECOND - SLACK


def ended(steps: Sequence[Step]) -> int:
    """When the first of these calls ended; when it began, if its end is not known."""
    call, *later = steps
    ends = (each.t for each in later if (each.call, each.cookie, each.phase) == (call.call, call.cookie, "ends"))
    return next(ends, call.t)


def spell(step: Step) -> str:
    """A call as written in a program."""
    return step.call if "(" in step.call else f"{step.call}()"
