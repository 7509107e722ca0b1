"""One transition under examination, with everything that can tell its cause."""

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
from handshake_lab.tcp.timers import SECOND, TARDY

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

#: Of the slowest clock that Linux is built with: HZ is 100 or more.
JIFFY = 10_000_000


class FoundCause(NamedTuple):
    """A cause, and the segment that shows it where there is one."""

    why: Trigger | None
    cause: Cause
    leg: SegmentAtEnd | None = None


def received(leg: SegmentAtEnd, kind: Literal["segment", "reset"] = "segment") -> Cause:
    """The cause that a segment is which arrived."""
    return Cause(kind, sentence("received", what=leg.segment.name), leg.segment.number)


@overload
def number_of(leg: SegmentAtEnd) -> int: ...
@overload
def number_of(leg: None) -> None: ...
def number_of(leg: SegmentAtEnd | None) -> int | None:
    """The number of a segment; None without one."""
    return leg.segment.number if leg else None


class RunContext:
    """What a run holds besides one endpoint's own segments.

    Args:
        all_observed: All its lives.
        steps: The programs' calls, in order of time.
        grown: By how much each node's counters have grown at the end.
        pause: Nanoseconds by which what belongs together may be apart: `SLACK`, or `HELD_UP` where time is real.
        blurred: The nodes whose captures lost segments: that there was no RST, nobody can say there.
        events: What tracepoints told besides changes of state.
    """

    def __init__(
        self,
        all_observed: Sequence[ObservedSocket],
        steps: Sequence[Step],
        grown: Mapping[str, Mapping[str, int]],
        pause: int = SLACK,
        blurred: Container[str] = (),
        events: Iterable[TcpEvent] = (),
    ) -> None:
        self.grown = grown
        self.blurred = blurred
        self.pause = pause
        self.listeners = [observed for observed in all_observed if observed.listens]
        self._steps: dict[tuple[str, int], list[Step]] = defaultdict(list)
        self._accepted: set[tuple[str, str]] = set()
        for step in steps:
            self._steps[step.node, step.cookie].append(step)
            if step.call.startswith("accept"):
                self._accepted.add((step.node, step.result))
        self._events: dict[tuple[str, Address, Address], list[TcpEvent]] = defaultdict(list)
        self.released: dict[int, list[int]] = defaultdict(list)  # by socket: its addresses may be gone by then
        for event in events:
            if event.name == "tcp_destroy_sock":
                self.released[event.sk].append(event.t)
            self._events[event.name, plain(event.local), plain(event.remote)].append(event)
        self.stopped = [(observed, observed.died) for observed in self.listeners if observed.died is not None]

    def records(self, node: str, cookie: int) -> bool:
        """Whether the calls on a socket were recorded: its own, or the accept() that made it."""
        return bool(self._steps.get((node, cookie))) or (node, str(cookie)) in self._accepted

    def events(self, name: str, observed: ObservedSocket) -> list[TcpEvent]:
        """The events of a name between a life's addresses, in order of time."""
        return self._events.get((name, observed.local, observed.remote), [])

    def steps_of(self, observed: ObservedSocket) -> list[Step]:
        """The calls on a life's socket, and those of its node which name no socket, in order of time."""
        named = self._steps.get((observed.node, observed.cookie), []) if observed.cookie else []
        unnamed = self._steps.get((observed.node, 0), [])
        return sorted([*named, *unnamed], key=lambda step: step.t) if named and unnamed else named or unnamed


class TransitionContext:
    """A transition and its surroundings.

    Args:
        observed: Whose transition it is.
        index: Its segments.
        drafts: All its transitions.
        place: Which of them this is.
        run: What else the run holds.
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
        self._event = next(
            (each for each in reversed(observed.events) if (each.old, each.new) == (draft.old, draft.new)), None
        )

    @property
    def is_request(self) -> bool:
        """Whether it never became more than a request socket."""
        return self.draft.old is State.SYN_RECEIVED and self.observed.passive and not self.observed.events

    @property
    def in_task(self) -> bool | None:
        """Whether the kernel was in a task's call then, not in an interrupt; None where that was not recorded.

        What arrives, and timers, are handled in an interrupt, unless a task is just then using the socket.
        """
        return self._event.context == "task" if self._event and self._event.context else None

    @property
    def error(self) -> str | None:
        """The error that the kernel reported to the socket's program then; "" if none, None if that was not recorded.

        Whatever but its program ends a connection reports one (sk_error_report(), net/core/sock.c).
        """
        if self._event is None or not self._event.context:
            return None
        reports = self.run.events("inet_sk_error_report", self.observed)
        return next((each.reason for each in reports if abs(each.t - self._event.t) <= SLACK), "")

    @property
    def held(self) -> bool:
        """Whether a program held the socket, as far as the last look before shows."""
        polls = [poll for poll in self.observed.polls if poll.t < self.draft.time - SLACK and not poll.gone]
        return not polls or getattr(polls[-1].seen, "inode", 0) != 0 or self.draft.old in (State.SYN_SENT, State.LISTEN)

    @property
    def is_mini(self) -> bool:
        """Whether the last look before showed a mini-socket: TIME-WAIT, or what is left of an orphan in FIN-WAIT-2."""
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
        """Why the kernel sent a RST then, in its words; "" where it sent none or does not tell (before Linux 6.11)."""
        sent = self.run.events("tcp_send_reset", self.observed)
        return next((each.reason for each in sent if self.near(each.t)), "")

    @property
    def destroyed_at_once(self) -> bool:
        """Whether the socket itself went with the connection: no program held it any longer."""
        sk = self.observed.traced.sk if self.observed.traced else 0
        return sk != 0 and any(self.near(t) for t in self.run.released.get(sk, ()))

    def grown(self, counter: str) -> int | None:
        """By how much one of the host's counters grew; None where nobody read them."""
        grown = self.run.grown.get(self.observed.node)
        return None if grown is None else grown.get(counter, 0)

    def icmp(self) -> SegmentAtEnd | None:
        """The ICMP error that arrived then; one that only tells the MTU ends nothing."""
        errors = [leg for leg in self.received() if leg.segment.icmp and not leg.segment.icmp.startswith(TOO_BIG)]
        return errors[-1] if errors else None

    def near(self, t: int) -> bool:
        """Whether a time is the transition's, clocks being what they are."""
        return self.draft.earliest - SLACK <= t <= self.draft.time + SLACK

    def belongs(self, leg: SegmentAtEnd) -> bool:
        """Whether a segment can have caused the transition, by when it arrived, or come of it, by when it left.

        What leaves after something else has arrived answers that, and what arrived or left before the transition before
        this one is done with. A RST leaves before its socket is closed (tcp_write_err(), tcp_keepalive_timer()).
        """
        first = self._still_open_at(self.draft.earliest)
        if not leg.outgoing:
            return first <= leg.t <= self.draft.time + SLACK
        over = self.draft.time + SLACK
        if any(not other.outgoing and over < other.t <= leg.t for other in self.index.legs):
            return False
        return first <= leg.t <= self.draft.time + self.run.pause

    def marked(self, mark: Mark) -> SegmentAtEnd | None:
        """The segment that set a mark at that time."""
        for leg, marks in zip(self.index.legs, self.index.marks, strict=True):
            if mark in marks and self.belongs(leg):
                return leg
        return None

    def received(self) -> list[SegmentAtEnd]:
        """What arrived at that time."""
        return [leg for leg in self.index.legs if not leg.outgoing and self.belongs(leg)]

    def answered_by(self, answer: SegmentAtEnd) -> list[SegmentAtEnd]:
        """What had arrived when a segment left that answers at once, such as a RST."""
        first, last = self._still_open_at(answer.t), answer.t + SLACK
        return [leg for leg in self.index.legs if not leg.outgoing and first <= leg.t <= last]

    def _still_open_at(self, t: int) -> int:
        """Since when what arrived may still wait to be taken up at a time, or what left may be what led there."""
        # One segment may lead through two states: what brought the one before at this very moment is at hand, too.
        earlier = [draft.time for draft in self.drafts[: self.place] if draft.time < self.draft.earliest - SLACK]
        before = earlier[-1] + SLACK if earlier else 0
        return min(max(t - self.run.pause, before), t - SLACK)

    def called(self, *names: str) -> str:
        """The call that a program was in on this socket then, as it was recorded; "" where none was."""
        for place, step in enumerate(self._steps):
            if step.phase != "begins" or not step.call.startswith(names) or step.t > self.draft.time + SLACK:
                continue
            if ended(self._steps[place:]) >= self.draft.earliest - SLACK:
                self.draft.witnesses.add(Witness.APPLICATION)
                return spell(step)
        return ""

    def failed_with(self, *errors: str) -> bool:
        """Whether a call on this socket ended with one of these errors then, or as soon as its program went on."""
        first, last = self.draft.earliest - SLACK, self.draft.time + self.run.pause
        return any(step.phase == "ends" and step.result in errors and first <= step.t <= last for step in self._steps)

    def by_another_task(self) -> bool:
        """Whether the transition ran in a call of another task than the one that opened the socket.

        A child's opener is its listener's, which holds where the very socket's calls were recorded.
        """
        opener = self.observed.opener
        if self.observed.passive and self.programs_recorded:
            at = self.observed.local.port
            opener = next((each.opener for each in self.run.listeners if each.local.port == at and each.opener), 0)
        pid = next((event.pid for event in self.observed.events if event.new is self.draft.new), 0)
        return opener not in (0, pid) and pid != 0

    @property
    def programs_recorded(self) -> bool:
        """Whether this very socket's calls were recorded."""
        cookie = self.observed.cookie
        return cookie != 0 and (self.run.records(self.observed.node, cookie))

    def listener_stopped(self, *, exactly: bool = False) -> bool:
        """Whether the listener that took this connection had been closed, or was closed right then."""
        return any(
            listener.node in (self.observed.node, "")
            and listener.local.port == self.observed.local.port
            and self.observed.born <= at + SLACK
            and (self.near(at) if exactly else at <= self.draft.time + SLACK)
            for listener, at in self.run.stopped
        )

    def due(self, at: int, after: int) -> bool:
        """Whether the transition fits a timer that was set to ``after`` nanoseconds and due at ``at``."""
        latest = at + after // TARDY + 2 * JIFFY + SLACK
        return self.draft.time >= at - JIFFY and self.draft.earliest <= latest

    def silence(self) -> list[SegmentAtEnd]:
        """What left since the last segment arrived, up to then."""
        out: list[SegmentAtEnd] = []
        for leg in self.index.legs:
            if leg.t > self.draft.time or "R" in leg.segment.flags:
                break
            out = [*out, leg] if leg.outgoing else []
        return out

    def waited(self) -> bool:
        """Whether a second, the least a handshake's timer takes, had demonstrably passed without a segment."""
        if self.index.leaky or self.observed.unheard:
            return False
        before = [leg for leg in self.index.legs if leg.t <= self.draft.earliest]
        # What the timer is for must have left, and nothing have come since.
        return bool(before) and before[-1].outgoing and self.draft.earliest - before[-1].t >= SECOND - SLACK


def ended(steps: Sequence[Step]) -> int:
    """When the first of these calls ended; when it began, if that is not known."""
    call, *later = steps
    ends = (each.t for each in later if (each.call, each.cookie, each.phase) == (call.call, call.cookie, "ends"))
    return next(ends, call.t)


def spell(step: Step) -> str:
    """A call as a person writes it."""
    return step.call if "(" in step.call else f"{step.call}()"
