"""Sets the impairments of links, and verifies that the kernel applies them.

An impairment belongs to one direction of one link. It is applied at the switch's or router's end of the link: to frames
that leave its port or, for frames from a host, to frames that arrive at its port (through an ifb device). It is never
placed on a host's own interface: there the sender's TCP would be notified of its losses, and its capture would not show
the lost segments.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from handshake_lab.errors import EnvironmentUnsupported, NetlinkError, UsageError
from handshake_lab.linux import netns, nftables
from handshake_lab.linux.netlink import links, qdisc
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.network import netem
from handshake_lab.network.faults import drop_rules
from handshake_lab.plan.link import EXAMPLES, Impairment
from handshake_lab.plan.network_plan import MIDDLE
from handshake_lab.recording.observations import QdiscReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from handshake_lab.plan.network_plan import NetworkPlan, PortPlan
    from handshake_lab.plan.placement import Direction

#: What can be done to a link.
LinkAction = Literal["cut", "mend", "set", "clear"]


_Method = TypeVar("_Method", bound="Callable[..., Any]")


def _locked(method: _Method) -> _Method:
    """A method of `Impairments` that only one thread can execute at a time."""

    @functools.wraps(method)
    def locked(self: Impairments, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            return method(self, *arguments, **named)

    return locked  # type: ignore[return-value] # the same signature


class Impairments:
    """Sets impairments in the kernel, verifies them, changes them, and reports their counters.

    Args:
        plan: The network.
        spaces: The descriptor of each network namespace, by node. All switches share one, with the key `MIDDLE`.
    """

    def __init__(self, plan: NetworkPlan, spaces: Mapping[str, int]) -> None:
        self._plan = plan
        self._spaces = spaces
        self._sockets: dict[str, Netlink] = {}
        self._targets: dict[Direction, tuple[str, int, str]] = {}
        self._now: dict[Direction, Impairment] = {}
        self._next = 0
        self._ports = {port.name: port for ends in plan.links for port in ends}
        #: Timed actions change links in a separate thread, and a netlink socket can be used by one thread at a time.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets.values():
            sock.close()

    def now(self, direction: Direction) -> Impairment:
        """The requested impairment of a direction."""
        return self._now.get(direction, Impairment())

    def all(self) -> dict[Direction, Impairment]:
        """The requested impairments of all directions."""
        return dict(self._now)

    def lines(self) -> list[str]:
        """The requested impairments in the syntax of ``--link``: ``s1>h2:delay=50ms``."""
        found = []
        for name, impairment in self._now.items():
            if impairment:
                port = self._ports[name]
                found.append(f"{port.node}>{self._ports[port.peer].node}:{impairment}")
        return found

    @_locked
    def set(self, wanted: Mapping[Direction, Impairment]) -> None:
        """Set impairments and verify them.

        Raises:
            EnvironmentUnsupported: The kernel does not support them.
            ImpairmentNotApplied: The kernel reports other parameters.
        """
        groups: dict[str, list[tuple[int, str, Impairment, bool]]] = {}
        for direction, impairment in wanted.items():
            known = direction in self._targets
            if not known and not impairment:
                continue  # no impairment is requested or set: this also works without netem
            if not known:
                self._targets[direction] = self._target(direction)
            space, index, where = self._targets[direction]
            # A distribution table cannot be removed from a queue: replace the queue.
            replace = known and impairment.distribution != self.now(direction).distribution
            groups.setdefault(space, []).append((index, where, impairment, replace))
        for space, group in groups.items():
            netem.apply(self._socket(space), group)
        self._now.update(wanted)

    @_locked
    def queued(self) -> int:
        """The number of packets in the queues of all impaired directions."""
        held = 0
        for space in {space for space, _, _ in self._targets.values()}:
            answers = qdisc.read(self._socket(space))
            held += sum(answers[index].queued for at, index, _ in self._targets.values() if at == space)
        return held

    @_locked
    def reports(self, now: int) -> list[QdiscReport]:
        """The counters of every impaired direction, read from the kernel."""
        answers = {space: qdisc.read(self._socket(space)) for space, _, _ in self._targets.values()}
        found = []
        for direction, (space, index, where) in self._targets.items():
            state = answers[space].get(index)
            # Verify again, because the record states that these parameters were applied until the end.
            netem.verify(where, self.now(direction), state)
            if state is not None:
                asked = str(self.now(direction))
                port = self._ports[direction]
                link = f"{port.node}>{self._ports[port.peer].node}"
                found.append(
                    QdiscReport(now, where, state.kind, asked, state.sent, state.dropped, state.overlimits, link)
                )
        return found

    @_locked
    def cut(self, direction: Direction) -> None:
        """Drop all frames on the link to which this direction belongs, both ways."""
        port = self._middle_port(direction)
        space = self._space(port)
        if space == MIDDLE:
            # A disabled port of a bridge neither receives nor sends frames. The link of its
            # neighbour stays up, so no host is notified.
            self._socket(space).ask([links.port_state(port.index, links.DISABLED, port.name)])
            return
        redirected = [where for known, (_, _, where) in self._targets.items() if known == port.peer]
        nftables.run(self._spaces[space], drop_rules.cut(port.name, redirected))

    @_locked
    def mend(self, direction: Direction) -> None:
        """Undo `cut`."""
        port = self._middle_port(direction)
        space = self._space(port)
        if space == MIDDLE:
            self._socket(space).ask([links.port_state(port.index, links.FORWARDING, port.name)])
        else:
            nftables.run(self._spaces[space], f"delete table netdev {drop_rules.cut_table(port.name)}\n")

    def _middle_port(self, direction: Direction) -> PortPlan:
        """The end of the link at which it is cut: a switch's, else a router's, else a host's."""
        ends = (self._ports[direction], self._ports[self._ports[direction].peer])
        ranks = {"switch": 0, "router": 1, "host": 2}
        return min(ends, key=lambda port: ranks[self._plan.nodes[port.node].kind])

    def _target(self, direction: Direction) -> tuple[str, int, str]:
        """The interface whose queue impairs a direction: its namespace, index and name."""
        port = self._ports[direction]
        if self._plan.nodes[port.node].kind != "host":
            return self._space(port), port.index, port.name
        peer = self._ports[port.peer]
        return self._space(peer), *self._redirect_arriving(peer)

    def _redirect_arriving(self, port: PortPlan) -> tuple[int, str]:
        """Redirect frames that arrive at a port of the middle through an ifb device, whose queue can be impaired."""
        netlink = self._socket(self._space(port))
        name = f"in{port.index}-{port.node}"[:15]
        try:
            netlink.ask([links.device("ifb", name)])
            index = links.indexes(netlink)[name]
            netlink.ask(qdisc.redirect_arriving(port.index, index, port.name))
        except NetlinkError as error:
            raise EnvironmentUnsupported(
                f"This kernel cannot impair segments that come from {self._ports[port.peer].node} ({error})",
                "It needs ifb, sch_ingress, cls_matchall and act_mirred; impair the other ports of the middle "
                "instead, or use --kernel lab, which contains them.",
            ) from error
        return index, name

    def _space(self, port: PortPlan) -> str:
        return MIDDLE if self._plan.nodes[port.node].kind == "switch" else port.node

    def _socket(self, space: str) -> Netlink:
        if space not in self._sockets:
            with netns.inside(self._spaces[space]):
                self._sockets[space] = Netlink()
        return self._sockets[space]


class Link:
    """A link of a running network, whose impairments can be changed.

    Args:
        impairer: Sets the impairments.
        there: The direction from the first node to the second.
        back: The opposite direction.
        ends: The names of the two nodes.
        report: Called with each change: the link as in ``--link``, what was done, and the properties that were set.
    """

    def __init__(
        self,
        impairer: Impairments,
        there: Direction,
        back: Direction,
        ends: tuple[str, str],
        report: Callable[[str, LinkAction, str], None],
    ) -> None:
        self._impairer = impairer
        self._report = report
        self._ways = {ends[1]: there, ends[0]: back}
        self._ends = ends

    def __repr__(self) -> str:
        return f"<link {self._ends[0]}-{self._ends[1]}>"

    def set(self, *, to: str | None = None, **wanted: str) -> None:
        """Change some properties and keep the others: ``set(loss="100%")``, ``set(loss="0%")``.

        Segments in flight are not affected.

        Args:
            to: Only the direction towards this node; by default both.
            wanted: The properties, with units.

        Raises:
            UsageError: A value is invalid, or the node is not an end of this link.
            EnvironmentUnsupported: This kernel does not support it.
            ImpairmentNotApplied: The kernel reports other parameters.
        """
        self._impairer.set({way: self._impairer.now(way).changed(wanted) for way in self._some(to)})
        self._report(self._named(to), "set", ",".join(f"{name}={value}" for name, value in wanted.items()))

    def overlay(self, impairment: Impairment, off: Iterable[str], *, to: str | None = None) -> Callable[[], None]:
        """Add an impairment to the present ones, like a ``--link``.

        Args:
            impairment: The impairment.
            off: Properties that it removes.
            to: Only the direction towards this node; by default both.

        Returns:
            A function that restores the previous impairments.

        Raises:
            UsageError: The combination is invalid.
        """
        off = tuple(off)
        before = {way: self._impairer.now(way) for way in self._some(to)}
        self._impairer.set({way: old.overlaid(impairment, off).checked({}, "link {}") for way, old in before.items()})
        self._report(self._named(to), "set", impairment.named(off))

        def restore() -> None:
            self._impairer.set(before)
            names = {name for name in EXAMPLES if getattr(impairment, name)} | set(off)
            for way, old in before.items():
                node = next(name for name, known in self._ways.items() if known == way)
                self._report(self._named(node), "set", old.named(names))

        return restore

    def clear(self, *, to: str | None = None) -> None:
        """Remove all impairments."""
        self._impairer.set({way: Impairment() for way in self._some(to)})
        self._report(self._named(to), "clear", "")

    def impairment(self, *, to: str) -> Impairment:
        """The requested impairment of segments to one of the two nodes."""
        return self._impairer.now(self._some(to)[0])

    def cut(self) -> None:
        """Drop all frames in both directions; neither end is notified.

        This works on every kernel. Frames that are already past the cut arrive.
        """
        self._impairer.cut(self._ways[self._ends[1]])
        self._report(self._named(None), "cut", "")

    def mend(self) -> None:
        """Undo `cut`."""
        self._impairer.mend(self._ways[self._ends[1]])
        self._report(self._named(None), "mend", "")

    def _named(self, to: str | None) -> str:
        """The link, or one direction of it, as in ``--link``."""
        one, other = self._ends
        return f"{one}-{other}" if to is None else f"{one if to == other else other}>{to}"

    def _some(self, to: str | None) -> list[Direction]:
        if to is None:
            return list(self._ways.values())
        if to not in self._ways:
            raise UsageError("to", to, f"is not an end of the link {self._ends[0]}-{self._ends[1]}", self._ends[1])
        return [self._ways[to]]
