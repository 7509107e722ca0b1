"""What a script sees where the kernel is: hosts to open sockets in, and a recorder that watches them."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from harness.errors import HandshakeError
from harness.experiment.plan import Plan
from harness.experiment.sockets import RecordedSocket
from harness.network.network import Network
from harness.network.topology import load_topology
from harness.recorder.clock import Clock
from harness.recorder.recorder import Recorder
from harness.tcp.states import State
from harness.timeline.observations import SCHEMA, End, Failure, RunHeader
from harness.timeline.reconcile import reconcile
from harness.timeline.store import EVENTS, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.network.host import Host
    from harness.timeline.history import Endpoint, Record
    from harness.timeline.observations import Observation, Step

#: Seconds after which a call on a recorded socket gives up: longer than any handshake's own limit.
PATIENCE = 1200.0


class Watched:
    """A host as the recorder wants it."""

    def __init__(self, host: Host) -> None:
        self.name = host.name
        self.addresses = host.addresses
        self.interfaces = [port.name for port in host.ports]
        self.enter = host.enter


class WorldHost:
    """A host of the network: its sockets are created in its network namespace and put on record."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host
        self.name = host.name
        self.ip: str = host.ip

    def socket(self, family: int = socket.AF_INET) -> RecordedSocket:
        """A TCP socket of this host. Its calls give up after `PATIENCE` seconds."""
        with self._host.enter():
            made = RecordedSocket(self.name, self._world.report, self._world.clock.now, self._world.own, family)
        self._world.own(made)
        made.settimeout(PATIENCE)
        return made

    def listen(self, port: int, *, backlog: int = 128) -> RecordedSocket:
        """A socket that listens on this host's address."""
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.ip, port))
        made.listen(backlog)
        return made

    def connect(self, to: RecordedSocket | tuple[str, int]) -> RecordedSocket:
        """A socket connected to a listening socket, or to a (host, port)."""
        made = self.socket()
        try:
            made.connect(to.getsockname() if isinstance(to, RecordedSocket) else self._world.resolve(to))
        except BaseException:
            made.close()
            raise
        return made


class Log:
    """Keeps what it is given in memory, and hands it on to a file."""

    def __init__(self, file: Writer) -> None:
        self._file = file
        self.observations: list[Observation] = []

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Take some, in order."""
        taken = list(observations)
        self.observations += taken
        self._file.write_all(taken)


class World:
    """The network of a run, while it is being recorded."""

    def __init__(self, network: Network, recorder: Recorder, clock: Clock, log: Log) -> None:
        self.network = network
        self.recorder = recorder
        self.clock = clock
        self._log = log
        self._closing = False
        self._owned: list[RecordedSocket] = []
        self._hosts = {host.name: WorldHost(self, host) for host in network.hosts}

    def __getitem__(self, name: str) -> WorldHost:
        return self._hosts[name]

    def __getattr__(self, name: str) -> WorldHost:
        try:
            return self.__dict__["_hosts"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"this network has no host {name!r}; it has {', '.join(self._hosts)}") from None

    def record(self) -> Record:
        """Everything up to now, reconciled."""
        self.recorder.sync()
        return reconcile(self._log.observations)

    def history(self, of: RecordedSocket) -> Endpoint:
        """The history of one socket up to now.

        Raises:
            LookupError: No observer has seen it in any state but CLOSED.
        """
        for endpoint in self.record().endpoints:
            if endpoint.cookie == of.cookie:
                return endpoint
        raise LookupError(f"no observer has seen socket {of.cookie} in any state but CLOSED")

    def resolve(self, to: tuple[str, int]) -> tuple[str, int]:
        """A (host name, port) as (address, port)."""
        name, port = to
        return (self._hosts[name].ip if name in self._hosts else name, port)

    def report(self, step: Step) -> None:
        """Put a program's step on record; once the record is closed, let it pass."""
        if not self._closing:
            self.recorder.hand_in(step)

    def own(self, opened: RecordedSocket) -> None:
        """See to it that a socket is closed at the end, if its script does not."""
        self._owned.append(opened)

    def close(self) -> None:
        """Close the sockets that the script left open. Not on record: the script did not do it."""
        self._closing = True
        for opened in self._owned:
            opened.close()

    def wait_until_closed(self, limit: float = 10_000.0) -> bool:
        """Wait until no host has a socket left but listeners. ``limit`` in seconds of the kernel's time."""
        return self.recorder.wait_until(
            lambda: all(
                look.state is State.LISTEN for name in self._hosts for look in self.recorder.sockets(name)
            ),
            limit,
        )


@contextlib.contextmanager
def recorded(plan: Plan, results: Path) -> Iterator[World]:
    """Build the plan's network, watch it, and write ``events.jsonl`` into ``results`` as things happen.

    Raises:
        ImpairmentNotApplied: A link is not what was asked for.
        FaultNeverFired: At the end, a fault that was set had matched nothing.
    """
    with Network(load_topology(plan.topology), link=plan.links) as network:
        clock = Clock()
        with Writer(results / EVENTS) as writer:
            log = Log(writer)
            recorder = Recorder([Watched(host) for host in network.hosts], clock, log)
            recorder.open()
            header = RunHeader(
                t=0,
                schema=SCHEMA,
                kernel=msgspec.structs.replace(plan.kernel, release=os.uname().release),
                topology=plan.topology,
                nodes={node.name: list(node.addresses) for node in network.hosts},
                links=network.links,
                faults=list(plan.faults),
                observers=recorder.observers,
                started=clock.started,
            )
            log.write_all([header])
            world = World(network, recorder, clock, log)
            try:
                with recorder:
                    recorder.sync()
                    yield world
            finally:
                world.close()
            log.write_all([*network.reports(clock.now()), End(t=clock.now())])


def enter(argument: Any, results: Path) -> int:
    """The job that a kernel does for `harness.experiment.conduct`: a plan's script in a recorded world."""
    plan = msgspec.convert(argument, Plan)
    module, _, function = plan.script.partition(":")
    script = getattr(importlib.import_module(module), function)
    try:
        with recorded(plan, results) as world:
            try:
                script(world, plan.argument)
            except OSError as error:
                # A script's own call failed: the record shows where, and is worth having.
                world.recorder.hand_in(Failure(t=world.clock.now(), node="", what=f"{type(error).__name__}: {error}"))
    except HandshakeError as error:
        told = {"class": type(error).__name__, "message": str(error)}
        (results / "error.json").write_text(json.dumps(told))
    return 0
