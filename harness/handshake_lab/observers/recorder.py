"""The loop that runs the observers, and polls sockets when something may have changed.

A connection is polled after every segment and every tracepoint event that may have changed
its state, after every timer that the last poll showed, and after every step of a program. All
sockets of a node are polled on request, and at a slow heartbeat. On the lab kernel, where
computation takes no virtual time, a poll happens at exactly the time of its cause.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Protocol, Self

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.linux.tcp_counters import grown, read_counters
from handshake_lab.observers import ss
from handshake_lab.observers.capture import Capture
from handshake_lab.observers.counter_watch import CounterWatch
from handshake_lab.observers.departures import Departures
from handshake_lab.observers.polling import SocketPoller
from handshake_lab.observers.tcp_probe import TcpProbes
from handshake_lab.observers.tracepoint import Tracepoints
from handshake_lab.recording.node_addresses import is_loopback
from handshake_lab.recording.observations import Counters, Missed, SegmentSeen, StateChange, Step, TcpEvent, Witness
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.observer import Observer
    from handshake_lab.observers.socket_snapshot import SocketSnapshot
    from handshake_lab.recording.observations import Observation
    from handshake_lab.tcp.address import Address, Flow

#: Flags of segments that only carry or acknowledge data.
_PLAIN = frozenset("AP")


class WatchedNode(Protocol):
    """What the recorder needs to know about a node."""

    name: str

    @property
    def addresses(self) -> Sequence[str]:
        """Its IP addresses."""

    @property
    def interfaces(self) -> Sequence[str]:
        """The interfaces on which to capture."""

    def enter(self) -> AbstractContextManager[None]:
        """Run the body with the calling thread in its network namespace."""


class Sink(Protocol):
    """The destination of observations."""

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Write observations, in order. After this returns, they persist even if this process is killed."""


class Targets:
    """What to poll, by node: single connections, or the listeners."""

    def __init__(self) -> None:
        self.flows: dict[str, list[Flow]] = {}
        self.listeners: set[str] = set()


class Recorder:
    """Observes nodes. A context manager: it observes while the block runs, from the first `sync` on.

    Args:
        nodes: Hosts, whose sockets are observed. Captures run on their interfaces.
        clock: The run's clock.
        sink: The destination of observations, in the order in which they were read.
        heartbeat: Nanoseconds between two polls of all sockets when nothing happens.
        routers: Nodes on whose interfaces captures run as well: they show what is forwarded, and what is not.
        curves: Whether to record congestion windows and round-trip times, if the kernel reports them.
    """

    def __init__(
        self,
        nodes: Iterable[WatchedNode],
        clock: Clock,
        sink: Sink,
        heartbeat: int,
        *,
        routers: Iterable[WatchedNode] = (),
        curves: bool = False,
    ) -> None:
        self._nodes = list(nodes)
        self._routers = list(routers)
        self._clock = clock
        self._sink = sink
        self._heartbeat = heartbeat
        self._node_of = {address: node.name for node in self._nodes for address in node.addresses}
        #: Each observer, with "" or the reason why it is not available.
        self.observers: dict[str, str] = {}
        self._by_descriptor: dict[int, Observer] = {}
        self._captures: list[Capture | Departures] = []
        self._diags: dict[str, SocketPoller] = {}
        self._tracepoints: Tracepoints | None = None
        self._curves = curves
        self._probes: TcpProbes | None = None
        self._counters: dict[str, dict[str, int]] = {}
        self._watches: dict[str, CounterWatch] = {}
        self._handed_in: deque[Observation] = deque()
        self._changed = threading.Condition()
        self._next_beat = 0
        self._asked = 0
        self._answered = 0
        self._stopping = False
        self.ended = 0  #: when it stopped observing; 0 before
        self._door = threading.Lock()
        self._closed = False
        self._error: BaseException | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def open(self) -> None:
        """Open all observers. If one is not available, `observers` contains the reason."""
        for node in self._nodes:
            self._open_sockets(node)
        for node in (*self._nodes, *self._routers):
            with node.enter():
                for interface in node.interfaces:
                    self._watch(Capture(node.name, interface, self._clock, datagrams=True))
        self.observers[Witness.DIAG] = self.observers[Witness.CAPTURE] = ""
        self.observers[Witness.APPLICATION] = ""
        self.observers[Witness.SS] = "" if shutil.which("ss") else "ss is not installed (package iproute2)"
        try:
            self._tracepoints = Tracepoints(self._clock)
            self._watch(self._tracepoints)
            self.observers[Witness.TRACEPOINT] = ""
        except EnvironmentUnsupported as error:
            self.observers[Witness.TRACEPOINT] = str(error)
        if self._curves:
            # Not among the observers of the record's header: it is no witness of a state.
            with contextlib.suppress(EnvironmentUnsupported):
                self._probes = TcpProbes(self._clock)

    def _open_sockets(self, node: WatchedNode) -> None:
        with node.enter():
            self._diags[node.name] = SocketPoller(node.name, self._clock)
            self._counters[node.name] = read_counters()
            self._watches[node.name] = CounterWatch(node.name, self._clock)

    def add(self, node: WatchedNode, *observers: Observer) -> None:
        """Observe another node from now on: its sockets, and what ``observers`` see. From any thread.

        Args:
            node: A node with a unique name. Captures run on its current interfaces.
            observers: More observers of it.
        """
        with self._changed:
            self._nodes.append(node)
            self._open_sockets(node)
            self.know_addresses(node.name, node.addresses)
            for observer in observers:
                self._watch(observer)
            with node.enter():
                for interface in node.interfaces:
                    self._watch(Capture(node.name, interface, self._clock, datagrams=True))

    def watch(self, observer: Observer) -> None:
        """Use another observer from now on. From the recorder's thread, or before it runs."""
        self._watch(observer)

    def know_addresses(self, name: str, addresses: Iterable[str]) -> None:
        """Attribute sockets with these addresses to a node. From the recorder's thread, or before it runs."""
        self._node_of.update(dict.fromkeys(addresses, name))

    def forget(self, name: str) -> None:
        """Stop observing a node whose network is being taken down, after a last poll. From any thread."""
        self.sync()
        with self._changed:
            node = next(each for each in self._nodes if each.name == name)
            self._nodes.remove(node)
            with node.enter():
                grown_here = grown(self._counters.pop(name), read_counters())
            self._sink.write_all([Counters(t=self._clock.now(), node=name, grown=grown_here)])
            self._diags.pop(name).close()
            self._watches.pop(name).close()
            for observer in [each for each in self._by_descriptor.values() if getattr(each, "node", None) == name]:
                self._drop(observer)

    def _drop(self, observer: Observer) -> None:
        for descriptor in observer.descriptors():
            del self._by_descriptor[descriptor]
            self._poll.unregister(descriptor)
        if isinstance(observer, Capture | Departures):
            self._captures.remove(observer)
            if count := observer.dropped():
                missed = Missed(t=self._clock.now(), observer="capture", node=observer.node, count=count)
                self._sink.write_all([missed])
        observer.close()

    def _watch(self, observer: Observer) -> None:
        if isinstance(observer, Capture | Departures):
            self._captures.append(observer)
        for descriptor in observer.descriptors():
            self._by_descriptor[descriptor] = observer
            self._poll.register(descriptor, select.EPOLLIN)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            os.eventfd_write(self._wake, 1)
            # Wait here until everything is recorded: how long `Thread.join` takes depends on Python's version.
            self._changed.wait_for(lambda: self.ended > 0 or self._error is not None)
        self._thread.join()
        for capture in self._captures:
            capture.close()
        for diag in self._diags.values():
            diag.close()
        for watch in self._watches.values():
            watch.close()
        if self._tracepoints:
            self._tracepoints.close()
        if self._probes:
            self._probes.close()
        with self._door:
            self._closed = True
            os.close(self._wake)
        self._poll.close()
        if self._error is not None:
            raise self._error

    def counters(self, t: int) -> list[Counters]:
        """By how much every node's counters have increased so far; ``t`` is the current time."""
        found = []
        for node in self._nodes:
            with node.enter():
                delta = grown(self._counters[node.name], read_counters())
            found.append(Counters(t=t, node=node.name, grown=delta))
        return found

    def _missed(self, t: int) -> list[Missed]:
        """The number of observations that observers lost, so that the record states its gaps."""
        lost: Counter[str] = Counter()
        for capture in self._captures:
            lost[capture.node] += capture.dropped()
        found = [Missed(t=t, observer="capture", node=node, count=count) for node, count in lost.items() if count]
        if self._tracepoints and (count := self._tracepoints.lost()):
            found.append(Missed(t=t, observer="tracepoint", node="", count=count))
        if self._probes and (count := self._probes.lost()):
            found.append(Missed(t=t, observer="probe", node="", count=count))
        return found

    def hand_in(self, observation: Observation) -> None:
        """Add an external observation, such as a program's step. From any thread; ignored after the end."""
        with self._door:
            if not self._closed:
                self._handed_in.append(observation)
                os.eventfd_write(self._wake, 1)

    def sync(self) -> None:
        """Return when all events so far have been read, and all sockets of every node have been polled."""
        with self._changed:
            self._asked += 1
            asked = self._asked
            os.eventfd_write(self._wake, 1)
            self._changed.wait_for(lambda: self._answered >= asked or self._error is not None)
        if self._error is not None:
            raise self._error

    def wait_until(
        self, condition: Callable[[], bool], limit: float, *, fresh: bool = True, confirm: bool = False
    ) -> bool:
        """Wait until a condition on the observations holds; it is evaluated after every change.

        Args:
            condition: Called while the recorder is paused.
            limit: The maximum wait in seconds of the kernel's clock.
            fresh: Poll all sockets first: the condition is never evaluated on a poll that is older than this call.
            confirm: When it holds, poll all sockets once more, and continue to wait if it no longer holds. Needed by
                conditions that require the absence of a socket: polls of single connections do not find a new socket.

        Returns:
            Whether the condition became true.
        """
        deadline = time.monotonic() + limit
        if fresh:
            self.sync()
        while True:
            with self._changed:
                held = self._changed.wait_for(
                    lambda: self._error is not None or condition(), max(0.0, deadline - time.monotonic())
                )
            if self._error is not None:
                raise self._error
            if not (held and confirm):
                return held
            self.sync()
            with self._changed:
                if condition():
                    return True

    def checkpoint(self) -> None:
        """Record the output of ``ss`` on every node. Does nothing if ss is not installed."""
        if self.observers[Witness.SS]:
            return
        for node in self._nodes:
            with node.enter():
                for seen in ss.poll(self._clock.now(), node.name):
                    self.hand_in(seen)
        self.sync()

    def sockets(self, node: str) -> list[SocketSnapshot]:
        """The sockets of a node that the last poll showed."""
        return self._diags[node].open_sockets()

    # -- the loop's thread -----------------------------------------------------------------

    def _run(self) -> None:
        # Signals are for the main thread. Here they would interrupt a poll, and that takes time in the lab kernel.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # The thread was started before the run, because how long a start takes depends on Python's version.
            select.select([self._wake], [], [])
            self._poll.register(self._wake, select.EPOLLIN)
            pause = 0.0
            while True:
                ready = self._poll.poll(pause)
                pause = self._turn([descriptor for descriptor, _ in ready])
                if self._stopping and self._answered == self._asked:
                    break
            self._next_beat = 0
            self._turn(list(self._by_descriptor))
            end = self._clock.now()
            self._sink.write_all([*self._missed(end), *self.counters(end)])
            with self._changed:
                self.ended = end
                self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  raised in the threads that wait for this one
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _turn(self, ready: list[int]) -> float:
        """Read all ready descriptors, and poll what may have changed. Returns seconds until the next turn."""
        with self._changed:
            asked = self._asked
            if ready not in ([], [self._wake]):  # there may be packets, whose timestamps have to be converted
                self._clock.tick()
            targets = Targets()
            seen = self._read_all(ready, targets)
            now = self._clock.now()
            everything = asked > self._answered or now >= self._next_beat
            if everything:
                self._next_beat = now + self._heartbeat
            for name, diag in self._diags.items():
                if everything:
                    seen.extend(diag.poll())
                    continue
                for flow in dict.fromkeys([*targets.flows.get(name, ()), *diag.due(now)]):
                    seen.extend(diag.poll_flow(flow))
                if name in targets.listeners:
                    seen.extend(diag.poll_listeners())
            # A complete poll also reports the counters.
            latest = sys.maxsize if asked > self._answered else now
            watches = [each for each in self._watches.values() if each.due is not None and each.due <= latest]
            seen.extend(grown for each in watches if (grown := each.growth()))
            self._sink.write_all(sorted(seen, key=lambda observation: observation.t))
            self._answered = asked
            if seen or everything:  # otherwise, no condition can have come true
                self._changed.notify_all()
            return self._pause()

    def _read_all(self, ready: list[int], targets: Targets) -> list[Observation]:
        """All new observations, those from other threads included; what to poll is added to ``targets``."""
        seen: list[Observation] = []
        if self._wake in ready:
            os.eventfd_read(self._wake)
        # A tracepoint event can be in its buffer before the descriptor is ready: always read the buffers.
        events = self._tracepoints.descriptors() if self._tracepoints else ()
        for descriptor in dict.fromkeys([*ready, *events]):
            if descriptor in self._by_descriptor:  # not the wake-up, nor one of a node that was removed meanwhile
                seen.extend(self._by_descriptor[descriptor].read(descriptor))
        if self._probes:
            # Their descriptors do not wake this loop: the capture reports each arriving segment as well.
            seen.extend(self._probes.read(self._node_of, self._timeout))
        while self._handed_in:
            seen.append(self._handed_in.popleft())
        for observation in seen:
            self._aim(observation, targets)
        return seen

    def _timeout(self, local: Address, remote: Address) -> int:
        """The retransmission timeout of a connection, if polling it takes no time; in microseconds, otherwise 0."""
        node = self._node_of.get(local.ip)
        return self._diags[node].timeout((local, remote)) if node in self._diags and self._clock.virtual else 0

    def _aim(self, observation: Observation, targets: Targets) -> None:
        """Determine what to poll after an observation."""
        if isinstance(observation, SegmentSeen):
            # A router has no sockets to poll, nor has UDP.
            if observation.node in self._diags and observation.protocol == "TCP":
                self._aim_at_segment(observation, targets)
        elif isinstance(observation, StateChange | TcpEvent):
            self._aim_at_event(observation, targets)
        elif isinstance(observation, Step):
            flow_of_step = self._diags[observation.node].flow_of(observation.cookie)
            if flow_of_step:
                targets.flows.setdefault(observation.node, []).append(flow_of_step)
            else:
                targets.listeners.add(observation.node)

    def _aim_at_segment(self, seen: SegmentSeen, targets: Targets) -> None:
        flow = seen.src, seen.dst
        if seen.direction == "received":
            flow = seen.dst, seen.src
        # Data and acknowledgments of an open connection do not change its state.
        if not (_PLAIN.issuperset(seen.flags) and self._diags[seen.node].is_settled(flow)):
            targets.flows.setdefault(seen.node, []).append(flow)
            if seen.direction == "received":
                self._watches[seen.node].ask()
        elif seen.icmp:
            self._watches[seen.node].ask()

    def _aim_at_event(self, event: StateChange | TcpEvent, targets: Targets) -> None:
        if isinstance(event, TcpEvent) and not event.local.ip:
            return  # a discarded segment, which does not change a state
        node = self._node_of.get(event.local.ip)
        if is_loopback(event.local.ip) and event.local.port and event.remote.port:
            # Every host has this address.
            for each in self._diags:
                targets.flows.setdefault(each, []).append((event.local, event.remote))
        if node is None:
            # A wildcard address may belong to any node, and so may that of a socket that is not bound yet.
            targets.listeners.update(self._diags)
            return
        if event.remote.port == 0 or (isinstance(event, StateChange) and State.LISTEN in (event.old, event.new)):
            targets.listeners.add(node)
        if event.local.port and event.remote.port:
            targets.flows.setdefault(node, []).append((event.local, event.remote))

    def _pause(self) -> float:
        """Seconds until the next heartbeat, timer or reading of counters."""
        due = [timer for diag in self._diags.values() if (timer := diag.next_timer()) is not None]
        due += [watch.due for watch in self._watches.values() if watch.due is not None]
        return max(min([self._next_beat, *due]) - self._clock.now(), 0) / 1e9
