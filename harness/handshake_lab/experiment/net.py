"""The network of a run while it is recorded: the fixture ``net`` of a test, and the argument of a script."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, overload

from handshake_lab.errors import NotRecorded, WaitTimedOut
from handshake_lab.experiment.branching import Branching, BranchingRun, SegmentBranching
from handshake_lab.experiment.recorded_host import Host, address_of, describe, polled_state
from handshake_lab.experiment.shell_session import ShellSession
from handshake_lab.experiment.timed_socket import DEFAULT_TIMEOUT
from handshake_lab.experiment.under_way import with_under_way
from handshake_lab.linux.timerfd import sleep_until
from handshake_lab.network.echo import echo
from handshake_lab.network.faults.fault_methods import FaultMethods
from handshake_lab.plan.timed_action import TimedAction
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Unpack

    from handshake_lab.experiment.live_recording import Journal, LiveRecording
    from handshake_lab.experiment.recorded_socket import RecordedSocket
    from handshake_lab.network.faults.active_faults import ActiveFault
    from handshake_lab.network.faults.fault_methods import Made
    from handshake_lab.network.impairments import Link
    from handshake_lab.network.network import Network
    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.recorder import Recorder
    from handshake_lab.observers.socket_snapshot import SocketSnapshot
    from handshake_lab.plan.fault import Fault
    from handshake_lab.recording.history import Endpoint, Record
    from handshake_lab.recording.observations import KernelInfo, Observation

#: Nanoseconds within which a kernel answers a segment.
_ANSWERS_WITHIN = 1_000_000


class Net(FaultMethods):
    """The network of a run, while it is being recorded.

    Hosts are attributes (``net.h1``) and items (``net["h1"]``); `get` returns them as well.

    Args:
        recording: The run.
        journal: The observations up to now.
        kernel: The kernel it runs on.

    Attributes:
        recording: The run, for scripts that need its internal parts.
        kernel: The kernel it runs on.
        reopen: Continues the record in a fork's own directory.
    """

    def __init__(self, recording: LiveRecording, journal: Journal, kernel: KernelInfo) -> None:
        self.recording = recording
        self.kernel = kernel
        self.reopen = journal.reopen
        self._journal = journal
        self._hosts = {host.name: Host(recording, host) for host in recording.network.hosts}

    # -- hosts ------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __getattr__(self, name: str) -> Host:
        try:
            return self.__dict__["_hosts"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"this network has no host {name!r}") from None

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in the topology's order."""
        return list(self._hosts.values())

    @overload
    def get(self, name: str, /) -> Host: ...
    @overload
    def get(self, name: str, other: str, /, *more: str) -> list[Host]: ...
    def get(self, *names: str) -> Host | list[Host]:
        """A host by its name, or a list of several: ``h1, h2 = net.get("h1", "h2")``, as in Mininet.

        Raises:
            KeyError: There is no such host.
        """
        found = [self._hosts[name] for name in names]
        return found[0] if len(found) == 1 else found

    def pingAll(self, timeout: float = 10.0) -> float:  # noqa: N802 -- Mininet's name
        """Send an echo request from each host to each other one, print the results, and return the loss in percent.

        Like Mininet's ``pingAll``. Requests and replies are subject to the loss of the links.

        Args:
            timeout: Seconds of the kernel's time to wait for each reply.
        """
        lost = sent = 0
        print("*** Ping: testing ping reachability")  # noqa: T201 -- as Mininet does
        for one in self.network.hosts:
            answers = []
            for other in self.network.hosts:
                if one is not other:
                    sent += 1
                    answered = echo(one, other, timeout) is not None
                    lost += not answered
                    answers.append(other.name if answered else "X")
            print(f"{one.name} -> {' '.join(answers)}")  # noqa: T201
        loss = 100.0 * lost / sent if sent else 0.0
        print(f"*** Results: {loss:.0f}% dropped ({sent - lost}/{sent} received)")  # noqa: T201
        return loss

    # -- branches ---------------------------------------------------------------------------

    def branches(
        self, at: str = "", of: Sequence[str] = ("deliver", "drop"), *, deviations: int | None = None
    ) -> Iterator[Branching]:
        """Continue the run in several ways from a segment or from this line: for example, a segment is lost, or not.

        The rest of the loop's body, from the segment on, and everything after the loop run once in each branch;
        everything before the segment runs only once (docs/how-to/branching.md)::

            for branch in net.branches(at="SYN-ACK nth=1", of=("deliver", "drop")):
                client = net.h1.connect(server)
                assert net.history(client).states[-1] == "ESTABLISHED", branch.decisions

        Without ``at``, the script branches when it arrives at the loop, and ``of`` are names for it to distinguish::

            for branch in net.branches(of=("close", "half-close")):
                client.close() if branch.decisions == ["close"] else client.shutdown(socket.SHUT_WR)

        Args:
            at: Which segments, as in a fault; the run branches when one of them is about to leave the middle. Empty:
                it branches here.
            of: The possible decisions about each: "deliver", "drop", "delay 300ms", "duplicate", "corrupt",
                "reset" (it is delivered, and followed by a RST that fits the connection).
            deviations: How often one branch may take another decision than the first of ``of``: with 1, each branch
                has at most one loss. None: no limit, so that each segment multiplies the number of branches.

        Raises:
            UsageError: ``at`` or ``of`` is invalid.
            EnvironmentUnsupported: This kernel cannot be forked.
        """
        recording = self.recording
        run = BranchingRun(recording.branched, recording.follow, recording.results, self.reopen, recording.clock.now)
        if not at:
            here = Branching(run, at, of)
            here.take(1 + sum(not step.at for step in recording.branched))
            yield here
            return
        branching = SegmentBranching(run, at, of, deviations)
        active = self.network.decide(branching.watched, branching.decide)
        yield branching
        active.remove()

    @cached_property
    def shell(self) -> ShellSession:
        """The commands of ``handshake shell``, for `play`: from the first use on, every segment waits in the middle."""
        return ShellSession(self.recording, self._hosts, self, real_time=self.kernel.real_time)

    def play(self, *commands: str) -> list[str]:
        """Execute commands of ``handshake shell`` (docs/how-to/shell.md), and return the output of each.

        From the first one on, every segment waits in the middle until ``step``, ``drop``, ``run`` or the like::

            net.play("h2 python3 -m http.server 80 &", "h1 curl -s h2", "step", "drop", "run 30s")

        Raises:
            UsageError: One is not a command, or not possible at that moment.
            EnvironmentUnsupported: This kernel runs in real time.
        """
        return [self.shell.perform(command) for command in commands]

    # -- the network ------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The emulated network itself, with its routers and interfaces. Actions there are not recorded."""
        return self.recording.network

    @property
    def recorder(self) -> Recorder:
        """The recorder, which observes the network."""
        return self.recording.recorder

    @property
    def clock(self) -> Clock:
        """The run's clock, in nanoseconds."""
        return self.recording.clock

    @property
    def results(self) -> Path:
        """The directory for the run's files."""
        return self.recording.results

    @property
    def one_way(self) -> float:
        """The delay of the path from the first host to the last, in seconds: the sum of its links' delays."""
        return self.network.delay_between(*self._ends())

    @property
    def rtt(self) -> float:
        """The round-trip time between the first host and the last, in seconds: the delays of both ways."""
        first, last = self._ends()
        return self.network.delay_between(first, last) + self.network.delay_between(last, first)

    def _ends(self) -> tuple[str, str]:
        names = list(self._hosts)
        return names[0], names[-1]

    def link(self, first: str, second: str) -> Link:
        """The link between two nodes (or, between the only two hosts, the path), to change it.

        Raises:
            UsageError: There is no such link.
        """
        return self.network.link(first, second)

    def fault(self, fault: str | Fault) -> ActiveFault:
        """Activate a fault, from a value or in the syntax of ``--fault``: ``net.fault("drop SYN nth=1")``.

        Raises:
            UsageError: The fault is invalid.
            EnvironmentUnsupported: This kernel does not support it.
        """
        return self.network.fault(fault)

    def at(self, when: str, what: str) -> None:
        """Have something happen to the network at a time of the run: ``net.at("10s", "cut h1-s1 for 30s")``.

        Args:
            when: A time of the run's clock, with its unit; it has not come yet.
            what: ``cut h1-s1``, ``mend h1-s1``, ``set h1>h2:loss=5%``, ``clear h1-s1``, or a fault; followed by
                ``for 30s`` if it is to be undone.

        Raises:
            UsageError: The time or the action is invalid, or the network does not have what it is about.
        """
        self.recording.timed.add(TimedAction.parse(when, what, field="at"))

    def inject(
        self,
        kind: str,
        *,
        to: str,
        seq: int = 0,
        ack: int | None = None,
        on: str | None = None,
        **which: Unpack[Made],
    ) -> ActiveFault:
        """Craft a segment for the most recently active connection, at once or after a segment (``on``).

        See `FaultMethods.inject`.
        """
        return self.network.inject(kind, to=to, seq=seq, ack=ack, on=on, **which)

    def resolve(self, to: RecordedSocket | tuple[str, int]) -> tuple[str, int]:
        """A listening socket's address, or that of a (host name, port)."""
        return address_of(self.recording, to)

    # -- the record -------------------------------------------------------------------------

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The observations up to now, unprocessed."""
        self.recorder.sync()
        return tuple(self._journal.observations)

    def record(self) -> Record:
        """The record up to now."""
        self.recorder.sync()
        # The counters are evidence for causes, such as SYN cookies. They are recorded only once, at the end.
        now = self.clock.now()
        record = reconcile([*self._journal.observations, *self.recorder.counters(now)], until=now)
        return with_under_way(record, self.shell.undecided()) if "shell" in self.__dict__ else record

    def history(self, of: RecordedSocket, *, connection: int = -1) -> Endpoint:
        """The history of one socket up to now: if it was used for several connections, that of the last.

        Args:
            of: The socket.
            connection: Which of its connections: 0 is the first one, -1 the last.

        Raises:
            NotRecorded: No observer has reported it in another state than CLOSED, or it had fewer connections.
        """
        found = [endpoint for endpoint in self.record().endpoints if endpoint.cookie == of.cookie]
        if not found:
            raise NotRecorded(f"no observer has reported socket {of.cookie} in another state than CLOSED")
        if not -len(found) <= connection < len(found):
            raise NotRecorded(f"socket {of.cookie} had {len(found)} connections: there is no connection={connection}")
        return found[connection]

    # -- time -------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds of the kernel's time."""
        time.sleep(seconds)

    def wait_for_state(self, of: RecordedSocket, state: str, limit: float = DEFAULT_TIMEOUT) -> SocketSnapshot:
        """Wait until sock_diag shows a socket in a state.

        Args:
            of: The socket.
            state: For example ``ESTABLISHED``. A closed socket is not shown: use `wait_until_gone`.
            limit: The maximum wait, in seconds of the kernel's time.

        Returns:
            The socket in that state.

        Raises:
            WaitTimedOut: It did not enter that state; the error contains its last state.
            UsageError: There is no such state.
        """
        wanted = polled_state(state)
        found: list[SocketSnapshot] = []

        def came() -> bool:
            found[:] = self._shown(of)
            return any(each.state is wanted for each in found)

        if self.recorder.wait_until(came, limit):
            return found[0]
        raise WaitTimedOut(f"the socket {self._described(of)} to be in {wanted}", limit, _states(found))

    def wait_until_gone(self, of: RecordedSocket, limit: float = DEFAULT_TIMEOUT) -> SocketSnapshot | None:
        """Wait until sock_diag shows neither a socket nor its mini-socket (FIN-WAIT-2, TIME-WAIT).

        Args:
            of: The socket.
            limit: The maximum wait, in seconds of the kernel's time.

        Returns:
            The last poll that showed the socket; None if no poll since the call has shown it.

        Raises:
            WaitTimedOut: It still exists; the error contains its state.
        """
        last: list[SocketSnapshot] = []

        def gone() -> bool:
            found = self._shown(of)
            last[:] = found or last
            return not found

        if self.recorder.wait_until(gone, limit, confirm=True):
            return last[0] if last else None
        raise WaitTimedOut(f"the socket {self._described(of)} to be gone", limit, _states(last))

    def wait_until_closed(self, limit: float = 10_000.0) -> list[SocketSnapshot]:
        """Wait until the hosts have no sockets except listeners.

        Args:
            limit: The maximum wait, in seconds of the kernel's time.

        Returns:
            The listeners.

        Raises:
            WaitTimedOut: There are other sockets; the error lists them.
        """
        left: list[SocketSnapshot] = []

        def closed() -> bool:
            left[:] = [each for name in self._hosts for each in self.recorder.sockets(name)]
            return all(each.state is State.LISTEN for each in left)

        if self.recorder.wait_until(closed, limit, confirm=True):
            return left
        raise WaitTimedOut("all connections to be closed", limit, describe(self.recording, *self._hosts))

    def settle(self) -> None:
        """Wait until no segments are in flight, because at the end of the record they would appear to be lost.

        Waits for at most two round-trip times, even if a transfer continues.
        """
        # A segment that has just arrived may be answered, and then its answer is in flight.
        asked = self.recording.script_ended or self.clock.now()
        sleep_until(self.clock.to_monotonic(asked + _ANSWERS_WITHIN))
        end = time.monotonic() + 2 * self.rtt
        while self.network.in_flight() and self.recorder.wait_until(
            lambda: self.network.in_flight() == 0, max(end - time.monotonic(), 0), fresh=False
        ):
            time.sleep(_ANSWERS_WITHIN / 1e9)

    def _shown(self, of: RecordedSocket) -> list[SocketSnapshot]:
        """The socket in the last poll of its host, as a list of at most one element."""
        return [each for name in self._hosts for each in self.recorder.sockets(name) if each.cookie == of.cookie]

    def _described(self, of: RecordedSocket) -> str:
        return f"{of.node} (number {of.cookie})"


def _states(shown: list[SocketSnapshot]) -> list[str]:
    return [f"{each.local} to {each.remote}, {each.state}" for each in shown]
