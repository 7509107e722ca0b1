"""The run while it is recorded, as hosts, sockets and programs use it: clock, journal, and open resources."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Protocol

from handshake_lab.experiment.servers import Servers
from handshake_lab.experiment.timed_actions import TimedActions
from handshake_lab.linux.timerfd import sleep_until
from handshake_lab.recording.observations import LinkChange, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from handshake_lab.network.impairments import LinkAction
    from handshake_lab.network.network import Network
    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.recorder import Recorder
    from handshake_lab.recording.branches import BranchStep
    from handshake_lab.recording.events_file import Writer
    from handshake_lab.recording.observations import Observation


#: A script begins at a multiple of this many nanoseconds of the run.
_ROUND = 100_000


class Closable(Protocol):
    """A resource that a script may leave open: a socket, a program. A second call of `close` has no effect."""

    def close(self) -> None:
        """Close it."""


class Journal:
    """Keeps observations in memory, and appends them to a file."""

    def __init__(self, file: Writer) -> None:
        self._file = file
        self.observations: list[Observation] = []

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Append observations, in order."""
        taken = list(observations)
        self.observations += taken
        self._file.write_all(taken)

    def reopen(self) -> None:
        """Continue in the file that is at this path now."""
        self._file.reopen()


class LiveRecording:
    """A run while it is recorded.

    Args:
        network: The running network.
        recorder: The recorder, which observes the network.
        clock: The run's clock.
        results: The directory for the run's files.

    Attributes:
        numbers: The numbers of the programs that are started, from 1.
        follow: Indexes of the decisions to take at branch points, instead of branching.
        timed: Actions at given times of the run.
        servers: The servers that were started.
        script_ended: When the script ended, on the run's clock; 0 until then.
        programs: Of each program that was started, by the number of its session: its host and its command.
    """

    def __init__(self, network: Network, recorder: Recorder, clock: Clock, results: Path) -> None:
        self.network = network
        self.recorder = recorder
        self.clock = clock
        self.results = results
        self.numbers = itertools.count(1)
        self.follow: list[int] | None = None
        self.branched: list[BranchStep] = []
        self.script_ended = 0
        self.programs: dict[int, tuple[str, str]] = {}
        self.timed = TimedActions(network, clock)
        self.servers = Servers(clock, self.timed, self.report)
        network.act_on_servers = self.servers.act
        self._closing = False
        network.on_link_change = self.link_changed
        self._opened: list[Closable] = []

    def link_changed(self, link: str, action: LinkAction, change: str) -> None:
        """Record a change of a link."""
        self.report(LinkChange(self.clock.now(), link, action, change))

    @contextlib.contextmanager
    def script(self) -> Iterator[None]:
        """Run the script in this block: it begins at a round time, and its end is stored.

        The code around the script takes a little virtual time (see `handshake_lab.experiment.run_start`), which depends
        on the versions of Python, pytest and its plugins. Without the round time, the record would depend on them.
        """
        sleep_until(self.clock.to_monotonic(-(-self.clock.now() // _ROUND) * _ROUND))
        try:
            yield
        finally:
            self.recorder.sync()
            self.script_ended = self.clock.now()

    def report(self, observation: Observation) -> None:
        """Record an observation; ignored when the record is being closed."""
        if not self._closing:
            self.recorder.hand_in(observation)

    @contextlib.contextmanager
    def step(self, node: str, call: str) -> Iterator[None]:
        """Record the beginning and the end of an action of a host that does not use a recorded socket."""
        self.report(Step(t=self.clock.now(), node=node, call=call, phase="begins"))
        try:
            yield
        finally:
            self.report(Step(t=self.clock.now(), node=node, call=call, phase="ends"))

    def own(self, opened: Closable) -> None:
        """Close a socket or program at the end of the run, if its script does not close it."""
        self._opened.append(opened)

    def close(self) -> None:
        """Close the resources that the script left open. This is not recorded, because the script did not do it."""
        self._closing = True
        self.timed.stop()
        for opened in self._opened:
            opened.close()

    def resolve(self, to: tuple[str, int]) -> tuple[str, int]:
        """An address, with a host's name replaced by its IP address."""
        name, port = to
        addresses = {host.name: host.ip for host in self.network.hosts}
        return addresses.get(name, name), port
