"""A running network: created from a Topo, with impaired links and faults, and removed completely at its end.

>>> with Network(Pair(), link="delay=50ms") as net:            # doctest: +SKIP
...     server = net.h2.socket()
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self

from handshake_lab.errors import FaultImpossible, UsageError
from handshake_lab.linux import netns
from handshake_lab.network import construction
from handshake_lab.network.faults.active_faults import ActiveFaults
from handshake_lab.network.faults.fault_methods import FaultMethods
from handshake_lab.network.impairments import Impairments, Link
from handshake_lab.network.namespaces import Namespaces
from handshake_lab.network.nodes import Interface, NetworkHost, NetworkNode
from handshake_lab.plan.checks import check_fault, check_running
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.link import Impairment, LinkSpec
from handshake_lab.plan.network_plan import MIDDLE
from handshake_lab.plan.placement import directions, place
from handshake_lab.plan.sysctls import sysctl_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Unpack

    from handshake_lab.network.faults.active_faults import ActiveFault
    from handshake_lab.network.faults.fault_methods import Made
    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.network.impairments import LinkAction
    from handshake_lab.plan.from_topo import MininetTopo
    from handshake_lab.recording.observations import FaultReport, QdiscReport


#: Seconds. A tick takes at least a millisecond.
_FINE = 1e-4
#: This many waits extend over several ticks of any length. Some kernels never switch to high resolution.
_TICKS = 20


class Network(FaultMethods):
    """A network whose settings are read back from the kernel; if they were not applied, it is not started.

    Args:
        topo: Any Mininet Topo.
        link: Impairments, as values or in the syntax of ``--link``. Without a place they
            apply to every path: at the topology's bottleneck, or otherwise at each of the middle's
            ports that is connected to a host.
        faults: Faults, as values or in the syntax of ``--fault``.
        sysctls: Settings of hosts and routers: ``{"net.ipv4.tcp_syncookies": 2}`` for all of
            them, ``{"h2:net.ipv4.tcp_fin_timeout": 5}`` for one.
        named: Whether to give the hosts names for ``ip netns exec`` and in /etc/hosts. By default
            they have names if the process has a private mount namespace.

    Raises:
        UsageError: An argument is invalid.
        EnvironmentUnsupported: This kernel does not support it.
        ImpairmentNotApplied: The kernel reports other parameters than requested.
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
        self.plan = from_topo(topo)
        self.topology = type(topo).__name__.lower()
        requests = [link] if isinstance(link, str | Impairment | LinkSpec) else list(link)
        self._asked = place(self.plan, [_request(item) for item in requests])
        wanted = [faults] if isinstance(faults, str | Fault) else list(faults)
        self._wanted = [Fault.parse(item) if isinstance(item, str) else item for item in wanted]
        for fault in self._wanted:
            check_fault(self.plan, fault)
            check_running(fault)
        self._sysctls = sysctl_settings(self.plan, sysctls or {})
        self._named = netns.mounts_are_private() if named is None else named
        self._spaces = Namespaces()
        self._stack = contextlib.ExitStack()
        self.nodes: dict[str, NetworkNode] = {}
        #: Called with each change of a link: the link, what was done, the properties that were set.
        self.on_link_change: Callable[[str, LinkAction, str], None] = lambda *_: None
        #: Called with each fault on the servers of a host, while the segment waits; returns whether one was running.
        self.act_on_servers: Callable[[Fault], bool] = _no_servers
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
            self._create_nodes()
            self._impairer = stack.enter_context(Impairments(self.plan, self._spaces.descriptors))
            self._impairer.set(self._asked)
            self._faults = ActiveFaults(self.plan, self._spaces.descriptors, self._act_on_servers)
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
            # Not after another failure, which may be the reason why a fault never fired.
            if kind is None:
                self._faults.check()

    def _create_nodes(self) -> None:
        """Create the nodes and interfaces of the public interface."""
        descriptors = self._spaces.descriptors
        ends: dict[str, Interface] = {}
        for name, planned in self.plan.nodes.items():
            if planned.kind == "switch":
                node = NetworkNode(planned, descriptors[MIDDLE])
            else:
                node = NetworkHost(planned, descriptors[name], self._spaces.hostnames[name])
            self.nodes[name] = node
            ends.update({port.name: Interface(port, node) for port in planned.ports})
        for one, other in self.plan.links:
            ends[one.name].peer, ends[other.name].peer = ends[other.name], ends[one.name]
        self.interfaces = list(ends.values())

    def __getitem__(self, name: str) -> NetworkHost:
        """A host or router by name.

        Raises:
            UsageError: There is no such host or router.
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
        """The requested impairments, one line for each impaired direction."""
        return self._impairer.lines()

    def delay_between(self, sender: str, receiver: str) -> float:
        """The requested one-way delay of the path from one host to another, in seconds.

        Raises:
            UsageError: There is no such node.
        """
        return sum(self._impairer.now(port.name).delay for port in self.plan.path(sender, receiver)) / 1e9

    def in_flight(self) -> int:
        """The number of packets in the queues of impaired links."""
        return self._impairer.queued()

    def link(self, first: str, second: str) -> Link:
        """The link between two nodes (or, between the only two hosts, the path); its impairments can be changed.

        Raises:
            UsageError: There is no such link.
        """
        request = LinkSpec(Impairment(), first, second)
        there, back = directions(self.plan, request)
        return Link(self._impairer, there, back, (first, second), self.on_link_change)

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
        """Craft a segment: at once, or after another one. See `FaultMethods.inject`."""
        fault = Fault.make("inject", kind, to=to, seq=seq, ack=ack, on=on, **which)
        if fault.on:
            return self.fault(fault)
        check_fault(self.plan, fault)
        return self._faults.inject(fault)

    def fault(self, fault: str | Fault) -> ActiveFault:
        """Activate a fault, from a value or in the syntax of ``--fault``.

        Raises:
            UsageError: The fault is invalid.
            EnvironmentUnsupported: This kernel does not support it.
        """
        made = Fault.parse(fault) if isinstance(fault, str) else fault
        check_fault(self.plan, made)
        check_running(made)
        return self._faults.add(made)

    def decide(self, watched: Fault, decide: Callable[[WatchedSegment], Fault | None]) -> ActiveFault:
        """Let a function decide what happens to segments; see `ActiveFaults.decide`.

        Raises:
            UsageError: ``watched`` names a host that this network does not have.
        """
        check_fault(self.plan, watched)
        return self._faults.decide(watched, decide)

    def _act_on_servers(self, fault: Fault) -> bool:
        return self.act_on_servers(fault)  # it is set after the faults were activated

    def idle_faults(self) -> list[Fault]:
        """The faults that never fired so far, and are not optional."""
        return self._faults.idle()

    @property
    def impairments(self) -> dict[str, Impairment]:
        """The requested impairment of each direction of each link, by the interface that sends into it."""
        return self._impairer.all()

    def reports(self, now: int) -> list[QdiscReport | FaultReport]:
        """The counters of the queueing disciplines, and how often each fault fired.

        Args:
            now: The run's clock, in nanoseconds: the time of the reports.

        Raises:
            ImpairmentNotApplied: The parameters of a link no longer match the request.
        """
        return [*self._impairer.reports(now), *self._faults.reports(now)]


def _no_servers(fault: Fault) -> bool:
    raise FaultImpossible(str(fault), "only the servers of a recorded run can be stopped, killed or restarted")


def _wait_for_fine_timers() -> None:
    """Wait until a kernel that has just booted has switched to high-resolution timers, at one of its first ticks.

    Until then a delay ends at a tick; hrtimer_resolution shows it (kernel/time/hrtimer.c).
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
