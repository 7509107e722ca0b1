"""A running network: made from a Topo, impaired, broken on purpose, and gone without a trace.

>>> with Network(Pair(), link="delay=50ms") as net:            # doctest: +SKIP
...     server = net.h2.socket()
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from handshake_lab.errors import UsageError
from handshake_lab.linux import netns
from handshake_lab.network import construction
from handshake_lab.network.faults.active_faults import ActiveFaults
from handshake_lab.network.impairments import Impairments, Link, directions, place
from handshake_lab.network.nodes import NetworkHost, NetworkNode
from handshake_lab.plan import from_topo
from handshake_lab.plan.checks import check_fault
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.link import Impairment, LinkSpec
from handshake_lab.plan.sysctls import sysctl_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from handshake_lab.network.faults.active_faults import ActiveFault
    from handshake_lab.plan.from_topo import MininetTopo, PortPlan
    from handshake_lab.recording.observations import FaultReport, QdiscReport


#: Seconds; a tick is a thousandth of a second or more.
_FINE = 1e-4
#: So many waits reach over several ticks, of whatever length; a kernel may also have none.
_TICKS = 20


class Interface:
    """One end of a link, with what a capture needs: name, namespace, and who is at the other end.

    Attributes:
        name: For example ``s1-eth2``.
        node: The node it belongs to.
        peer: The interface at the other end; `Network` sets it.
    """

    def __init__(self, port: PortPlan, node: NetworkNode) -> None:
        self.name = port.name
        self.index = port.index
        self.mac = port.mac
        self.node = node
        self.peer: Interface

    def __repr__(self) -> str:
        return f"<{self.name} of {self.node.name}, to {self.peer.name}>"


class Network:
    """A network that is exactly what was asked for, or was not started.

    Args:
        topo: Any Mininet Topo.
        link: Impairments, as values or in the words of ``--link``; without a place they
            act on every path: at the topology's bottleneck, or else at each of the middle's
            ports that faces a host.
        faults: What happens to chosen segments, as values or in the words of ``--fault``.
        sysctls: Settings of hosts and routers: ``{"net.ipv4.tcp_syncookies": 2}`` for all of
            them, ``{"h2:net.ipv4.tcp_fin_timeout": 5}`` for one.
        named: Give the hosts names for ``ip netns exec`` and in /etc/hosts. By default
            wherever the mounts are this process's own.

    Raises:
        UsageError: Something that cannot be meant.
        EnvironmentUnsupported: This kernel cannot do it.
        ImpairmentNotApplied: The kernel does something else than asked.
    """

    def __init__(
        self,
        topo: MininetTopo,
        link: str | Impairment | LinkSpec | Iterable[str | Impairment | LinkSpec] = (),
        faults: str | Fault | Iterable[str | Fault] = (),
        *,
        sysctls: Mapping[str, str | int] | None = None,
        named: bool | None = None,
    ) -> None:
        self.plan = from_topo.from_topo(topo)
        self.topology = type(topo).__name__.lower()
        requests = [link] if isinstance(link, str | Impairment | LinkSpec) else list(link)
        self._asked = place(self.plan, [_request(item) for item in requests])
        wanted = [faults] if isinstance(faults, str | Fault) else list(faults)
        self._wanted = [Fault.parse(item) if isinstance(item, str) else item for item in wanted]
        for fault in self._wanted:
            check_fault(self.plan, fault)
        self._sysctls = sysctl_settings(self.plan, sysctls or {})
        self._named = netns.mounts_are_private() if named is None else named
        self._spaces = construction.Namespaces()
        self._stack = contextlib.ExitStack()
        self.nodes: dict[str, NetworkNode] = {}
        self.interfaces: list[Interface] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._spaces.close)
            solitary = [name for name, node in self.plan.nodes.items() if node.kind != "switch"]
            self._spaces.make(solitary, named=self._named)
            _wait_for_fine_timers()
            construction.build(self.plan, self._spaces, self._sysctls)
            if self._named:
                lines = [f"{ip} {node.name}" for node in self.plan.nodes.values() for ip in node.addresses]
                self._spaces.name_hosts(lines)
            self._know()
            self._impairer = stack.enter_context(Impairments(self.plan, self._spaces.descriptors))
            self._impairer.set(self._asked)
            self._faults = ActiveFaults(self.plan, self._spaces.descriptors)
            stack.callback(self._faults.close)
            self._faults.watch()
            for fault in self._wanted:
                self._faults.add(fault)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            # Not on top of another failure, which may well be why it never fired.
            if kind is None:
                self._faults.check()

    def _know(self) -> None:
        """Make the nodes and interfaces that can be asked for."""
        descriptors = self._spaces.descriptors
        ends: dict[str, Interface] = {}
        for name, planned in self.plan.nodes.items():
            if planned.kind == "switch":
                node = NetworkNode(planned, descriptors[construction.MIDDLE])
            else:
                node = NetworkHost(planned, descriptors[name])
            self.nodes[name] = node
            ends.update({port.name: Interface(port, node) for port in planned.ports})
        for one, other in self.plan.links:
            ends[one.name].peer, ends[other.name].peer = ends[other.name], ends[one.name]
        self.interfaces = list(ends.values())

    def __getitem__(self, name: str) -> NetworkHost:
        """A host or router by name.

        Raises:
            UsageError: There is none.
        """
        node = self.nodes.get(name)
        if not isinstance(node, NetworkHost):
            names = ", ".join(n for n, found in self.nodes.items() if isinstance(found, NetworkHost))
            raise UsageError("host", name, f"is not a host here (they are {names})", "h1")
        return node

    def __getattr__(self, name: str) -> NetworkHost:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UsageError as error:
            raise AttributeError(str(error)) from None

    @property
    def hosts(self) -> list[NetworkHost]:
        """The end hosts, in the topology's order."""
        return [node for node in self.nodes.values() if isinstance(node, NetworkHost) and node.kind == "host"]

    @property
    def links(self) -> list[str]:
        """What is asked of the links now, one line for each direction that is impaired."""
        return self._impairer.lines()

    def delay_between(self, sender: str, receiver: str) -> float:
        """The one-way delay that was asked for on the path from one host to another, in seconds.

        Raises:
            UsageError: There is no such node.
        """
        return sum(self._impairer.now(port.name).delay for port in self.plan.path(sender, receiver)) / 1e9

    def in_flight(self) -> int:
        """How many packets are on their way in delayed links now."""
        return self._impairer.queued()

    def link(self, first: str, second: str) -> Link:
        """The link between two nodes (or, between the only two hosts, the path), to change it.

        Raises:
            UsageError: There is none.
        """
        request = LinkSpec(Impairment(), first, second)
        there, back = directions(self.plan, request)
        return Link(self._impairer, there, back, (first, second))

    def drop(self, kind: str, **how: Any) -> ActiveFault:
        """Lose segments: ``net.drop("SYN", nth=1, from_="h1")``.

        Args:
            kind: Which segments, as in `handshake_lab.plan.fault.KINDS`.
            how: Which of them, as for `Fault.make`: ``nth``, ``first``, ``every``,
                ``from_``, ``to``, ``port``, ``optional``.
        """
        return self.fault(Fault.make("drop", kind, **how))

    def delay(self, kind: str, by: str, **how: Any) -> ActiveFault:
        """Let segments come later, beyond the link's own delay: ``net.delay("FIN", "300ms")``."""
        return self.fault(Fault.make("delay", kind, by=by, **how))

    def duplicate(self, kind: str, **how: Any) -> ActiveFault:
        """Let segments come twice (or more often, with ``copies``)."""
        return self.fault(Fault.make("duplicate", kind, **how))

    def reorder(self, kind: str, **how: Any) -> ActiveFault:
        """Let a segment go behind the next one of its flow (or more, with ``behind``)."""
        return self.fault(Fault.make("reorder", kind, **how))

    def corrupt(self, kind: str, **how: Any) -> ActiveFault:
        """Damage segments by one bit, so that TCP's checksum is wrong."""
        return self.fault(Fault.make("corrupt", kind, **how))

    def hold(self, kind: str, **how: Any) -> ActiveFault:
        """Keep segments back until `ActiveFault.release`."""
        return self.fault(Fault.make("hold", kind, **how))

    def inject(self, kind: str, *, to: str, seq: int = 0, ack: int | None = None, **how: Any) -> ActiveFault:
        """Make a segment up for the connection last heard of, at once or behind a segment (``on``).

        Args:
            kind: As in `handshake_lab.plan.fault.MADE`.
            to: The host that receives it.
            seq: Distance from the sequence number that this host expects next; 0 is exact.
            ack: Distance from what acknowledges all that it has sent; None for no
                acknowledgment, except in kinds that have one (exact, then).
            how: ``from_``, ``port``: which connection; ``on``, ``nth`` and the like: behind
                which segments.
        """
        fault = Fault.make("inject", kind, to=to, seq=seq, ack=ack, **how)
        if fault.on:
            return self.fault(fault)
        check_fault(self.plan, fault)
        return self._faults.inject(fault)

    def fault(self, fault: str | Fault) -> ActiveFault:
        """Put a fault in force, from a value or in the words of ``--fault``.

        Raises:
            UsageError: It cannot be meant.
            EnvironmentUnsupported: This kernel cannot do it.
        """
        made = Fault.parse(fault) if isinstance(fault, str) else fault
        check_fault(self.plan, made)
        return self._faults.add(made)

    @property
    def impairments(self) -> dict[str, Impairment]:
        """What is asked now of each direction of each link, by the interface that sends into it."""
        return self._impairer.all()

    def reports(self, now: int) -> list[QdiscReport | FaultReport]:
        """What the queueing disciplines counted, and how often each fault fired.

        Args:
            now: The run's clock, in nanoseconds: the time of the reports.

        Raises:
            ImpairmentNotApplied: A link is no longer what was asked for.
        """
        return [*self._impairer.reports(now), *self._faults.reports(now)]


def _wait_for_fine_timers() -> None:
    """Let a kernel that has just been booted come to its first tick, where it begins to use them.

    Until then a delay ends at a tick; hrtimer_resolution tells (kernel/time/hrtimer.c).
    """
    for _ in range(_TICKS):
        if time.clock_getres(time.CLOCK_MONOTONIC) < _FINE:
            return
        time.sleep(_FINE)


def _request(item: str | Impairment | LinkSpec) -> LinkSpec:
    if isinstance(item, LinkSpec):
        return item
    if isinstance(item, Impairment):
        return LinkSpec(item)
    return LinkSpec.parse(item)
