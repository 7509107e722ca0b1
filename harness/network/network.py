"""A running network: made from a Topo, impaired, broken on purpose, and gone without a trace.

>>> with Network(Pair(), link="delay=50ms") as net:            # doctest: +SKIP
...     server = net.h2.socket()
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from harness.errors import UsageError
from harness.network import build, netns, plan
from harness.network.host import Host, Node
from harness.network.impairing import Impairer, place
from harness.network.link import Impairment, LinkRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from harness.network.plan import MininetTopo, Port
    from harness.timeline.observations import QdiscReport


class Interface:
    """One end of a link, with what a capture needs: name, namespace, and who is at the other end.

    Attributes:
        name: For example ``s1-eth2``.
        node: The node it belongs to.
        peer: The interface at the other end; `Network` sets it.
    """

    def __init__(self, port: Port, node: Node) -> None:
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
        link: str | Impairment | LinkRequest | Iterable[str | Impairment | LinkRequest] = (),
        *,
        named: bool | None = None,
    ) -> None:
        self.plan = plan.from_topo(topo)
        self.topology = type(topo).__name__.lower()
        requests = [link] if isinstance(link, str | Impairment | LinkRequest) else list(link)
        self._asked = place(self.plan, [_request(item) for item in requests])
        self._named = netns.mounts_are_private() if named is None else named
        self._spaces = build.Spaces()
        self._stack = contextlib.ExitStack()
        self.nodes: dict[str, Node] = {}
        self.interfaces: list[Interface] = []
        self.middle: Node

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._spaces.close)
            solitary = [name for name, node in self.plan.nodes.items() if node.kind != "switch"]
            self._spaces.make(solitary, named=self._named)
            build.build(self.plan, self._spaces)
            if self._named:
                lines = [f"{ip} {node.name}" for node in self.plan.nodes.values() for ip in node.addresses]
                self._spaces.name_hosts(lines)
            self._know()
            self._impairer = stack.enter_context(Impairer(self.plan, self._spaces.descriptors))
            self._impairer.set(self._asked)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _know(self) -> None:
        """Make the nodes and interfaces that can be asked for."""
        descriptors = self._spaces.descriptors
        ends: dict[str, Interface] = {}
        for name, planned in self.plan.nodes.items():
            if planned.kind == "switch":
                node = Node(planned, descriptors[build.MIDDLE])
            else:
                node = Host(planned, descriptors[name])
            self.nodes[name] = node
            ends.update({port.name: Interface(port, node) for port in planned.ports})
        for one, other in self.plan.links:
            ends[one.name].peer, ends[other.name].peer = ends[other.name], ends[one.name]
        self.interfaces = list(ends.values())

    def __getitem__(self, name: str) -> Host:
        """A host or router by name.

        Raises:
            UsageError: There is none.
        """
        node = self.nodes.get(name)
        if not isinstance(node, Host):
            names = ", ".join(n for n, found in self.nodes.items() if isinstance(found, Host))
            raise UsageError("host", name, f"is not a host here (they are {names})", "h1")
        return node

    def __getattr__(self, name: str) -> Host:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UsageError as error:
            raise AttributeError(str(error)) from None

    @property
    def hosts(self) -> list[Host]:
        """The end hosts, in the topology's order."""
        return [node for node in self.nodes.values() if isinstance(node, Host) and node.kind == "host"]

    @property
    def links(self) -> list[str]:
        """What is asked of the links now, one line for each direction that is impaired."""
        return self._impairer.lines()

    def reports(self, now: int) -> list[QdiscReport]:
        """What the queueing disciplines counted.

        Args:
            now: The run's clock, in nanoseconds: the time of the reports.
        """
        return self._impairer.reports(now)


def _request(item: str | Impairment | LinkRequest) -> LinkRequest:
    if isinstance(item, LinkRequest):
        return item
    if isinstance(item, Impairment):
        return LinkRequest(item)
    return LinkRequest.parse(item)
