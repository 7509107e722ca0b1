"""What a script sees where the kernel is: hosts to open sockets in, and a recorder that watches them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import shlex
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from handshake_lab.errors import HandshakeError, NotRecorded
from handshake_lab.experiment.recorded_socket import RecordedSocket
from handshake_lab.experiment.run_start import begin, begin_on_a_second
from handshake_lab.experiment.running_program import ProgramSpec, RunningProgram, start, wait_until_listening
from handshake_lab.linux.tcp_counters import read_counters
from handshake_lab.network.network import Network
from handshake_lab.observers.clock import Clock
from handshake_lab.observers.recorder import Recorder
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import ERROR, EVENTS, Writer
from handshake_lab.recording.observations import SCHEMA, Failure, Program, RunEnd, RunHeader, Step
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from subprocess import CompletedProcess

    from handshake_lab.linux.netlink.sock_diag import SocketSnapshot
    from handshake_lab.network.nodes import NetworkHost
    from handshake_lab.recording.history import Endpoint, Record
    from handshake_lab.recording.observations import KernelInfo, Observation

#: Seconds after which a call on a recorded socket gives up: longer than any handshake's own limit.
PATIENCE = 1200.0
#: Seconds within which a kernel answers a segment that it has got.
_ANSWERING = 0.001

_PlainSocket = socket.socket  # a host's method is called socket, too


class Closable(Protocol):
    """What can be left open: a socket, a program. Closing it twice does nothing more."""

    def close(self) -> None:
        """Close it."""


class Watched:
    """A host as the recorder wants it."""

    def __init__(self, host: NetworkHost) -> None:
        self.name = host.name
        self.addresses = host.addresses
        self.interfaces = [port.name for port in host.ports]
        self.enter = host.enter


class Host:
    """A host of the network: its sockets are created in its network namespace and put on record."""

    def __init__(self, net: Net, host: NetworkHost) -> None:
        self._net = net
        self._host = host
        self.name = host.name
        self.ip: str = host.ip

    def socket(self, family: int | None = None) -> RecordedSocket:
        """A TCP socket of this host. Its calls give up after `PATIENCE` seconds."""
        net, host = self._net, self._host
        with host.enter():
            made = RecordedSocket(
                self.name, net.report, net.clock.now, net.own, host.family if family is None else family
            )
        net.own(made)
        made.settimeout(PATIENCE)
        return made

    def udp_socket(self) -> _PlainSocket:
        """A UDP socket of this host. It is not on record: UDP has no states that could be recorded."""
        made = self._host.socket(kind=socket.SOCK_DGRAM)
        self._net.own(made)
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
            made.connect(self._net.resolve(to))
        except BaseException:
            made.close()
            raise
        return made

    def begin_connect(self, to: RecordedSocket | tuple[str, int], *, port: int = 0) -> RecordedSocket:
        """A socket that is connecting: the call returns before the handshake is done.

        Args:
            to: A listening socket, or a (host, port).
            port: The port to connect from; 0 lets the kernel choose.
        """
        made = self.socket()
        if port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.ip, port))
        made.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            made.connect(self._net.resolve(to))
        made.settimeout(PATIENCE)
        return made

    def run(self, argv: Sequence[str], *, check: bool = True) -> CompletedProcess[Any]:
        """Run a program in this host to its end, on record; its output comes back as text."""
        with self._net.step(self.name, shlex.join(argv)):
            return self._host.run(argv, check=check)

    def start(self, argv: Sequence[str], *, listening: bool = False) -> RunningProgram:
        """Start a program in this host. It is on record, and ended with the test if it still runs.

        Args:
            argv: The program and its arguments.
            listening: Wait until it has a listening socket, or has ended.
        """
        recorder = self._net.recorder
        before = {snapshot.cookie for snapshot in recorder.sockets(self.name)}
        role: Literal["server", "client"] = "server" if listening else "client"
        name = f"{self.name}-{role}-{next(self._net.numbers)}"
        started = start(self._net, ProgramSpec(name, self.name, role, shlex.join(argv)))
        if listening:
            wait_until_listening(self._net, started, before)
        return started

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """A setting of this host's network namespace, ``net.ipv4.tcp_fin_timeout``; with a value, set it first.

        Raises:
            OSError: This kernel has no such setting, or refuses the value.
        """
        file = Path("/proc/sys", *name.split("."))
        with self._host.enter():
            if value is not None:
                file.write_text(str(value))
            return file.read_text().strip()

    def counters(self) -> dict[str, int]:
        """The Tcp and TcpExt counters of this host (net/ipv4/proc.c): ``ListenOverflows`` and the like."""
        with self._host.enter():
            return read_counters()

    def sockets(self) -> list[SocketSnapshot]:
        """What sock_diag shows of this host now: state, addresses, timer, inode of every TCP socket but closed ones."""
        self._net.recorder.sync()
        return self._net.recorder.sockets(self.name)

    def wait_for(self, state: str, *, count: int = 1, limit: float = PATIENCE) -> bool:
        """Wait until so many sockets of this host are in a state, those that no program holds included.

        Args:
            state: For example ``SYN-RECEIVED``: a request socket has no other handle.
            count: How many; 0 for none.
            limit: Seconds of the kernel's time to wait at most.

        Returns:
            Whether it came to be.
        """
        recorder = self._net.recorder
        return recorder.wait_until(
            lambda: sum(snapshot.state == state for snapshot in recorder.sockets(self.name)) == count, limit
        )


class Journal:
    """Keeps what it is given in memory, and hands it on to a file."""

    def __init__(self, file: Writer) -> None:
        self._file = file
        self.observations: list[Observation] = []

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Take some, in order."""
        taken = list(observations)
        self.observations += taken
        self._file.write_all(taken)


class Net:
    """The network of a run, while it is being recorded.

    Hosts are attributes (``net.h1``) and items (``net["h1"]``). What is done to segments and links
    is the network's: `Network.drop`, `delay`, `duplicate`, `reorder`, `corrupt`, `hold`, `inject`, `link`.
    """

    def __init__(
        self, network: Network, recorder: Recorder, clock: Clock, log: Journal, kernel: KernelInfo, results: Path
    ) -> None:
        self.network = network
        self.recorder = recorder
        self.clock = clock
        self.kernel = kernel
        self.results = results
        self.drop = network.drop
        self.delay = network.delay
        self.duplicate = network.duplicate
        self.reorder = network.reorder
        self.corrupt = network.corrupt
        self.hold = network.hold
        self.inject = network.inject
        self.link = network.link
        self._log = log
        self._closing = False
        self._owned: list[Closable] = []
        self.numbers = itertools.count(1)  #: of the programs that are started
        self._hosts = {host.name: Host(self, host) for host in network.hosts}

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __getattr__(self, name: str) -> Host:
        try:
            return self.__dict__["_hosts"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"this network has no host {name!r}") from None

    @property
    def one_way(self) -> float:
        """The delay of the path from the first host to the last, in seconds: what its links were asked for."""
        return self.network.delay_between(*self._ends())

    @property
    def rtt(self) -> float:
        """The round-trip time between the first host and the last, in seconds: the delays of both ways."""
        first, last = self._ends()
        return self.network.delay_between(first, last) + self.network.delay_between(last, first)

    def _ends(self) -> tuple[str, str]:
        names = list(self._hosts)
        return names[0], names[-1]

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What the observers have seen up to now, as they saw it: nothing joined, nothing interpreted."""
        self.recorder.sync()
        return tuple(self._log.observations)

    def record(self) -> Record:
        """Everything up to now, reconciled."""
        self.recorder.sync()
        # The counters tell causes, such as SYN cookies; they go on record only once, at the end.
        return reconcile([*self._log.observations, *self.recorder.counters()], until=self.clock.now())

    def history(self, of: RecordedSocket) -> Endpoint:
        """The history of one socket up to now: of its last connection, if it was used for several.

        Raises:
            NotRecorded: No observer has seen it in any state but CLOSED.
        """
        for endpoint in reversed(self.record().endpoints):
            if endpoint.cookie == of.cookie:
                return endpoint
        raise NotRecorded(f"no observer has seen socket {of.cookie} in any state but CLOSED")

    def resolve(self, to: RecordedSocket | tuple[str, int]) -> tuple[str, int]:
        """A listening socket's address, or that of a (host name, port)."""
        if isinstance(to, RecordedSocket):
            bound: tuple[str, int] = to.getsockname()[:2]
            return bound
        name, port = to
        return (self._hosts[name].ip if name in self._hosts else name, port)

    def report(self, step: Step | Program) -> None:
        """Put a program's step on record; once the record is closed, let it pass."""
        if not self._closing:
            self.recorder.hand_in(step)

    @contextlib.contextmanager
    def step(self, node: str, call: str) -> Iterator[None]:
        """Put the beginning and the end of something on record that a host does, and no socket of its own."""
        self.report(Step(t=self.clock.now(), node=node, call=call, phase="begins"))
        try:
            yield
        finally:
            self.report(Step(t=self.clock.now(), node=node, call=call, phase="ends"))

    def own(self, opened: Closable) -> None:
        """See to it that a socket or program is closed at the end, if its script does not."""
        self._owned.append(opened)

    def close(self) -> None:
        """Close what the script left open. Not on record: the script did not do it."""
        self._closing = True
        for opened in self._owned:
            opened.close()

    def sleep(self, seconds: float) -> None:
        """Let the kernel's time pass: what a program does while it has nothing to do."""
        time.sleep(seconds)

    def wait_for_state(self, of: RecordedSocket, state: str, limit: float = PATIENCE) -> bool:
        """Wait until sock_diag shows a socket in a state; ``limit`` in seconds. Returns whether it did."""
        return self.recorder.wait_until(
            lambda: any(
                snapshot.cookie == of.cookie and snapshot.state == state
                for name in self._hosts
                for snapshot in self.recorder.sockets(name)
            ),
            limit,
        )

    def wait_until_gone(self, of: RecordedSocket, limit: float = PATIENCE) -> bool:
        """Wait until sock_diag shows no trace of a socket, nor of what followed it; ``limit`` in seconds."""
        return self.recorder.wait_until(
            lambda: all(
                snapshot.cookie != of.cookie for name in self._hosts for snapshot in self.recorder.sockets(name)
            ),
            limit,
        )

    def settle(self) -> None:
        """Let the segments arrive that are on their way: what the record's end cuts off would look lost.

        Waits two round-trip times at most: a transfer that goes on does not become quiet.
        """
        end = time.monotonic() + 2 * self.rtt
        while self.recorder.wait_until(lambda: self.network.in_flight() == 0, max(end - time.monotonic(), 0)):
            # What has arrived just now is answered before any time passes, and so is on its way again.
            time.sleep(_ANSWERING)
            if self.network.in_flight() == 0:
                return

    def wait_until_closed(self, limit: float = 10_000.0) -> bool:
        """Wait until no host has a socket left but listeners. ``limit`` in seconds of the kernel's time."""
        return self.recorder.wait_until(
            lambda: all(
                snapshot.state is State.LISTEN for name in self._hosts for snapshot in self.recorder.sockets(name)
            ),
            limit,
        )


@contextlib.contextmanager
def recorded(plan: RunPlan, results: Path) -> Iterator[Net]:
    """Build the plan's network, watch it, and write ``events.jsonl`` into ``results`` as things happen.

    Raises:
        ImpairmentNotApplied: A link is not what was asked for.
        FaultNeverFired: At the end, a fault that was set had matched nothing.
    """
    seed = plan.kernel.seed
    if seed is not None:
        begin(seed)
    with Network(load_topology(plan.topology), plan.links, plan.faults, sysctls=plan.sysctls) as network:
        if seed is not None:
            begin_on_a_second()
        clock = Clock()
        with Writer(results / EVENTS) as writer:
            log = Journal(writer)
            recorder = Recorder([Watched(host) for host in network.hosts], clock, log, int(plan.heartbeat * 1e9))
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
                replay=plan.replay,
            )
            log.write_all([header])
            net = Net(network, recorder, clock, log, header.kernel, results)
            try:
                with recorder:
                    recorder.sync()
                    yield net
                    net.settle()
            finally:
                net.close()
            log.write_all([*network.reports(clock.now()), RunEnd(t=clock.now())])


def enter(argument: Any, results: Path) -> int:
    """The job that a kernel does for `handshake_lab.experiment.execute`: a plan's script in a recorded world."""
    plan = msgspec.convert(argument, RunPlan)
    module, _, function = plan.script.partition(":")
    script = getattr(importlib.import_module(module), function)
    if plan.directory:
        os.chdir(plan.directory)
    try:
        with recorded(plan, results) as net:
            try:
                script(net, plan.argument)
            except OSError as error:
                # A script's own call failed: the record shows where, and is worth having.
                net.recorder.hand_in(Failure(t=net.clock.now(), node="", what=f"{type(error).__name__}: {error}"))
    except HandshakeError as error:
        (results / ERROR).write_text(json.dumps(error.to_document()))
    return 0
