"""Expectations that read like the document: what a test holds a record against.

All times here are seconds, as the documents give them; a record's own are nanoseconds.

    >>> seconds(1_016_000_000) == approx_timer(1.0)
    True
    >>> 2.0 == approx_timer(1.0, plus=0.1)
    False
    >>> approx_timer(1.0, plus=0.1)
    a timer of 1 s + 0.1 s: 1.1 to 1.24 s

What selects from a record (`sent`, `flags`, `sent_at`, `sent_between`) takes the same words
everywhere: ``flags`` as letters in the order ``SFRPAUEW``, ``sender`` a host's name.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from handshake_lab.errors import NotRecorded, UsageError
from handshake_lab.recording.observations import StateChange, TcpEvent
from handshake_lab.tcp.timers import SECOND, Schedule, Window
from handshake_lab.tcp.timers import seconds as nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.linux.netlink.sock_diag import SocketSnapshot
    from handshake_lab.recording.history import Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.recording.observations import KernelInfo, Observation, Witness
    from handshake_lab.tcp.states import State

__all__ = [
    "Schedule",
    "approx_giving_up",
    "approx_timer",
    "approx_times",
    "approx_trip",
    "approx_waits",
    "endpoint",
    "endpoints",
    "entered",
    "events",
    "exchange",
    "expect_of",
    "flags",
    "made_up",
    "seconds",
    "sent",
    "sent_at",
    "sent_between",
    "since",
    "sockets_in",
    "traced",
    "transition",
    "version",
    "witnesses",
]

#: Ticks a second of the slowest clock that Linux is built with: a tolerance that is right for every kernel.
SLOWEST_HZ = 100
#: Seconds by which a segment may come later than the link's own delay says: in the lab kernel computing takes no time.
COMPUTING = 0.005
#: The same where time is real, for timers too: programs compute, and wait for processors that others use as well.
#: A slower machine needs more; on top of it comes twice what this one was measured to be late by. Nothing may ever
#: be early.
COMPUTING_IN_REAL_TIME = 0.05
#: Clocks of two observers agree to this many seconds.
_CLOCKS = 0.0001


class _Present:
    """Which kernel expectations are about, as far as they depend on that."""

    real = False
    slowness = 1.0  #: how many times slower than an ordinary machine this one computes
    measured: Callable[[], float] = staticmethod(lambda: 0.0)  #: seconds by which this machine is late

    @classmethod
    def timers_late_by(cls) -> float:
        """Seconds by which a timer may be late besides what its own rule says."""
        return COMPUTING_IN_REAL_TIME * cls.slowness + 2 * cls.measured() if cls.real else 0.0

    @classmethod
    def late_by(cls) -> float:
        """Seconds by which a segment may be late."""
        return cls.timers_late_by() if cls.real else COMPUTING


def expect_of(kernel: KernelInfo, measured: Callable[[], float] = lambda: 0.0, slowness: float = 1.0) -> None:
    """From now on, allow what a kernel of this kind needs: the fixture ``net`` sees to it.

    Args:
        kernel: The kernel that expectations are about.
        measured: Seconds by which this machine has been late up to now.
        slowness: How many times slower than an ordinary machine it computes.
    """
    _Present.slowness = slowness
    _Present.real = kernel.real_time
    _Present.measured = staticmethod(measured)


def seconds(nanoseconds: int) -> float:
    """A record's time, as the documents give it."""
    return nanoseconds / SECOND


class TimeWindow:
    """A time that a measured one is equal to if it lies within bounds.

    Args:
        what: What it is the time of, for a person.
        earliest: Seconds.
        latest: Seconds.
    """

    __hash__ = None  # type: ignore[assignment]  # equal to many numbers

    def __init__(self, what: str, earliest: float, latest: float) -> None:
        self._what = what
        self.earliest = earliest
        self.latest = latest

    def __eq__(self, measured: object) -> bool:
        if not isinstance(measured, int | float):
            return NotImplemented
        return self.earliest - 1e-9 <= measured <= self.latest + 1e-9

    def __repr__(self) -> str:
        return f"{self._what}: {_s(self.earliest)} to {_s(self.latest)} s"


def approx_timer(*timers: float, plus: float = 0.0, hz: int = SLOWEST_HZ) -> TimeWindow:
    """A kernel timer's time: one of t fires within [t, t·1.125 + 1 jiffy] (kernel/time/timer.c).

    Args:
        timers: What it was set to, in seconds; several, where one is set after the other.
        plus: Seconds that pass besides until it can be seen, such as a round trip.
        hz: The kernel's ticks a second.
    """
    windows = [Window.of(nanoseconds(timer), hz=hz) for timer in timers]
    what = " + ".join(f"a timer of {_s(timer)} s" for timer in timers) + (f" + {_s(plus)} s" if plus else "")
    # What passes besides takes a real kernel a little longer than it should.
    late = plus + _Present.late_by() if plus else 0.0
    late += _Present.timers_late_by() * len(timers)
    return TimeWindow(
        what,
        seconds(sum(window.earliest for window in windows)) + plus,
        seconds(sum(window.latest for window in windows)) + late,
    )


def approx_trip(time: float) -> TimeWindow:
    """The time of segments on their way: what the links were asked for, and on a real kernel a little more."""
    return TimeWindow(f"a way of {_s(time)} s", time - _CLOCKS, time + _Present.late_by())


class TimeWindows:
    """Times that a list of measured ones is equal to if there are as many and each wait is that of its timer."""

    __hash__ = None  # type: ignore[assignment]  # equal to many lists

    def __init__(self, waits: Iterable[TimeWindow]) -> None:
        self._waits = list(waits)

    def __eq__(self, measured: object) -> bool:
        if not isinstance(measured, list | tuple):
            return NotImplemented
        waits = [later - earlier for earlier, later in pairwise(measured)]
        return len(measured) == len(self._waits) + 1 and all(
            wait == expected for wait, expected in zip(waits, self._waits, strict=True)
        )

    def __repr__(self) -> str:
        waits = ", ".join(f"{_s(wait.earliest)}-{_s(wait.latest)}" for wait in self._waits)
        return f"{len(self._waits) + 1} times with waits of {waits or 'none'} s between them"


def approx_waits(*waits: float, hz: int = SLOWEST_HZ) -> TimeWindows:
    """Times that lie as far from each other as the kernel's timers say: ``approx_waits(1, 2, 4)`` are four.

    Args:
        waits: What each timer was set to, in seconds.
        hz: The kernel's ticks a second.
    """
    return TimeWindows(approx_timer(wait, hz=hz) for wait in waits)


def approx_times(schedule: Schedule, *, hz: int = SLOWEST_HZ) -> TimeWindows:
    """The times at which a segment is sent when nothing answers it: so many, each as far from the one before.

    Args:
        schedule: As `handshake_lab.tcp.timers` makes them.
        hz: The kernel's ticks a second.
    """
    times = [0, *schedule.again]
    return approx_waits(*(seconds(later - earlier) for earlier, later in pairwise(times)), hz=hz)


def approx_giving_up(schedule: Schedule, *, hz: int = SLOWEST_HZ) -> TimeWindow:
    """How long after its first sending a segment without an answer is given up.

    Args:
        schedule: As `handshake_lab.tcp.timers` makes them.
        hz: The kernel's ticks a second.
    """
    window = schedule.window(-1, hz=hz)
    what = f"{schedule.sendings} timers of {_s(seconds(schedule.fails))} s in all"
    # Each timer is set when the one before has fired: what they are late by adds up.
    late = _Present.timers_late_by() * schedule.sendings
    return TimeWindow(what, seconds(window.earliest), seconds(window.latest) + late)


# The kernel.


def version(kernel: KernelInfo) -> tuple[int, int]:
    """A kernel's release as it is compared: (6, 1) for "6.1.192".

    Raises:
        UsageError: It is not a release of Linux.
    """
    found = re.match(r"(\d+)\.(\d+)", kernel.release)
    if not found:
        raise UsageError("kernel release", kernel.release, "is not a release of Linux", "6.1.192")
    return int(found[1]), int(found[2])


def since(kernel: KernelInfo, *release: int) -> bool:
    """Whether a kernel is this release or a later one: ``since(net.kernel, 6, 5)``."""
    return version(kernel) >= release


# Segments.


def sent(record: Record, flags: str = "", *, sender: str = "", of: Endpoint | None = None) -> list[TransmittedSegment]:
    """The segments that hosts sent, in the order of sending: what the middle makes up or doubles is not among them.

    Args:
        record: A run.
        flags: Only those with just these flags.
        sender: Only those of this host.
        of: Only those of this endpoint's connection.
    """
    return [
        segment
        for segment in record.segments
        if segment.sent is not None
        and flags in ("", segment.flags)
        and sender in ("", segment.sender)
        and (of is None or {of.local, of.remote} == {segment.src, segment.dst})
    ]


def flags(record: Record, *, sender: str = "", of: Endpoint | None = None) -> list[str]:
    """The segments that hosts sent, by their flags: ``["S", "SA", "A"]``."""
    return [segment.flags for segment in sent(record, sender=sender, of=of)]


def sent_at(record: Record, flags: str = "", *, sender: str = "", of: Endpoint | None = None) -> list[float]:
    """When such segments were sent, in seconds of the run's clock."""
    return [seconds(each.sent) for each in sent(record, flags, sender=sender, of=of) if each.sent is not None]


def made_up(record: Record) -> TransmittedSegment:
    """The only segment that no host sent: one that the middle made up, and no duplicate of its making.

    Raises:
        NotRecorded: There is none, or there are several.
    """
    found = [segment for segment in record.segments if segment.sent is None and segment.copies is None]
    if len(found) != 1:
        raise NotRecorded(
            f"{len(found)} segments were made up where one was expected: {[each.flags for each in found]}"
        )
    return found[0]


def exchange(record: Record, *, after: float = 0.0) -> list[str]:
    """What hosts sent after a time (in seconds), each with its sender: ``["h1 FA", "h2 A"]``."""
    return [
        f"{segment.sender} {segment.flags}"
        for segment in sent(record)
        if segment.sent is not None and seconds(segment.sent) >= after
    ]


def sent_between(record: Record, start: float, end: float) -> list[str]:
    """What was sent after ``start`` and before ``end``, both in seconds, in words: empty where nothing was."""
    return [
        f"{segment.sender} {segment.flags} at {seconds(segment.sent):.3f} s"
        for segment in sent(record)
        if segment.sent is not None and start < seconds(segment.sent) < end
    ]


# States.


def endpoints(record: Record, node: str, role: str = "") -> list[Endpoint]:
    """A host's ends of connections, the oldest first."""
    return [each for each in record.endpoints if each.node == node and role in ("", each.role)]


def endpoint(record: Record, node: str, role: str = "") -> Endpoint:
    """A host's only end of a connection: one that no program holds can be asked for like this only.

    Raises:
        NotRecorded: There is none, or there are several.
    """
    found = endpoints(record, node, role)
    if len(found) != 1:
        shown = [f"{each.role} {each.local} {each.states}" for each in found]
        raise NotRecorded(f"{node} has {len(found)} ends of connections where one was expected: {shown}")
    return found[0]


def transition(history: Endpoint, state: State | str, visit: int = 1) -> Transition:
    """The transition by which an endpoint entered a state, for the ``visit``-th time.

    Raises:
        NotRecorded: It never did.
    """
    found = [step for step in history.transitions if step.new == state]
    if len(found) < visit:
        way = " → ".join(history.states)
        raise NotRecorded(f"{history.node} {history.local} was not in {state} {visit} times: {way}")
    return found[visit - 1]


def entered(history: Endpoint, state: State | str, visit: int = 1) -> float:
    """When an endpoint entered a state, in seconds of the run's clock."""
    return seconds(transition(history, state, visit).time)


def witnesses(history: Endpoint, state: State | str, visit: int = 1) -> set[Witness]:
    """Who saw an endpoint enter a state."""
    return set(transition(history, state, visit).witnesses)


def sockets_in(looks: Iterable[SocketSnapshot], state: State | str) -> list[str]:
    """The sockets that are in a state, in words: empty where none is left there.

    Args:
        looks: What sock_diag shows of a host now: ``net.h2.sockets()``.
        state: The state.
    """
    return [f"{look.local} to {look.remote}, {look.state}" for look in looks if look.state == state]


# What the kernel's observers said, before anything is made of it.


def traced(observations: Iterable[Observation], history: Endpoint) -> list[str]:
    """Every word of the tracepoint about an endpoint's connection, self-loops included: ``["CLOSED→SYN-SENT", …]``.

    Before 6.15 it names no remote end when a server's begins: that one is left out. So is what it tells of other
    worlds on the same kernel, whose hosts have the same addresses.
    """
    changes = [
        seen
        for seen in observations
        if isinstance(seen, StateChange) and seen.remote == history.remote and seen.local.ip == history.local.ip
    ]
    times = {step.time for step in history.transitions}
    sockets = {seen.sk for seen in changes if seen.t in times}
    return [
        f"{seen.old}→{seen.new}"
        for seen in changes
        # A client's first word comes before it has a port; what a socket's memory is used for next is another's.
        if seen.sk in sockets and (seen.t in times or (seen.t >= min(times) and seen.local == history.local))
    ]


def events(observations: Iterable[Observation], name: str, *, of: Endpoint) -> list[TcpEvent]:
    """The events of another tracepoint, such as ``tcp_receive_reset``, on an endpoint's connection."""
    return [
        seen
        for seen in observations
        if isinstance(seen, TcpEvent) and seen.name == name and (seen.local, seen.remote) == (of.local, of.remote)
    ]


def _s(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
