"""Active faults: starts each one, counts how often it fired, and reports those that never did.

The kernel's packet filter executes faults that drop segments (`handshake_lab.network.faults.drop_rules`): this
works on any kernel and does not delay other segments. The middlebox executes all other faults.
"""

from __future__ import annotations

import contextlib
import copy
import time
from typing import TYPE_CHECKING

from handshake_lab.errors import FaultImpossible, FaultNeverFired, WaitTimedOut
from handshake_lab.linux import netns, nftables, packet_socket
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.network.faults import drop_rules
from handshake_lab.network.faults.connection_numbers import ConnectionNumbers
from handshake_lab.network.faults.crafting import Egress, craft_for
from handshake_lab.network.faults.middlebox import Middlebox, Rule
from handshake_lab.plan.fault_text import OTHER_KINDS, PROGRAM_ACTIONS
from handshake_lab.plan.network_plan import MIDDLE
from handshake_lab.recording.observations import FaultReport
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import decode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from handshake_lab.network.faults.connection_numbers import ConnectionEnd
    from handshake_lab.network.faults.middlebox import WatchedSegment
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.network_plan import NetworkPlan

#: How many bytes of a frame are kept to learn a connection's sequence numbers: all headers.
_HEADERS = 160
#: Seconds between two polls of the counter of a fault in the packet filter, which sends no notification.
_POLL_INTERVAL = 0.05


class ActiveFault:
    """An active fault.

    Attributes:
        fault: The fault.
    """

    def __init__(
        self, fault: Fault, faults: ActiveFaults, name: str = "", space: str = "", rule: Rule | None = None
    ) -> None:
        self.fault = fault
        self._faults = faults
        self._name = name
        self._space = space
        self._rule = rule
        self._at_once = 0

    def __repr__(self) -> str:
        return f"<fault {self.fault}: fired {self.fired}>"

    @property
    def fired(self) -> int:
        """How often it has fired so far."""
        if self._rule is not None:
            return self._rule.fired
        return self._faults.counted(self._space, self._name) if self._name else self._at_once

    @property
    def held(self) -> int:
        """The number of segments that it holds."""
        return len(self._rule.held) if self._rule is not None else 0

    def wait(self, times: int = 1, *, limit: float = 600.0) -> int:
        """Wait until it has fired.

        Args:
            times: The total number of times.
            limit: The maximum wait in seconds of the kernel's clock.

        Returns:
            The number of times it has fired.

        Raises:
            WaitTimedOut: It has fired fewer times.
        """
        if self._rule is not None:
            self._faults.middlebox(self.fault).wait(self._rule, times, limit)
        else:
            end = time.monotonic() + limit
            while self.fired < times and time.monotonic() < end:
                time.sleep(_POLL_INTERVAL)
        if self.fired < times:
            raise WaitTimedOut(
                f"the fault {str(self.fault)!r} to fire {times} times", limit, [f"it fired {self.fired} times"]
            )
        return self.fired

    def release(self, count: int | None = None) -> int:
        """Release held segments in the order of their arrival; all of them, if no count is given.

        Returns:
            How many.
        """
        return self._faults.middlebox(self.fault).release(self._rule, count) if self._rule is not None else 0

    def remove(self) -> None:
        """End the fault and release the segments that it holds. Its count is kept for the report."""
        if self._rule is not None:
            self._faults.middlebox(self.fault).remove(self._rule)
        elif self._name:
            self._faults.disarm(self._space, self._name)


class ActiveFaults:
    """All faults of one network.

    Args:
        plan: The network.
        spaces: A descriptor of each namespace, by node; the switches' under `MIDDLE`.
        act: Carries out an action on the servers of a host; called by the middlebox, while the segment waits. It
            returns whether one was running.
    """

    def __init__(self, plan: NetworkPlan, spaces: Mapping[str, int], act: Callable[[Fault], bool]) -> None:
        self._spaces = spaces
        self._addresses = {name: set(node.addresses) for name, node in plan.nodes.items() if node.kind != "switch"}
        self._aliases = _aliases(plan)
        self._edges: dict[bytes, Egress] = {}
        self._ports: dict[str, list[int]] = {}
        for port, peer in plan.edge_ports():
            space = MIDDLE if plan.nodes[port.node].kind == "switch" else port.node
            self._edges[links.mac_bytes(peer.mac)] = Egress(
                peer.node,
                space,
                port.name,
                peer.mac,
                tuple(address.partition("/")[0] for address in peer.addresses),
                port.mac if plan.nodes[port.node].kind == "router" else "",
            )
            self._ports.setdefault(space, []).append(port.index)
        self._exits = {**self._edges, **_towards_routers(plan)}
        self._handles: list[ActiveFault] = []
        self._tables: set[str] = set()
        self._middlebox: Middlebox | None = None
        self._datagrams = False
        self._connections = ConnectionNumbers()
        self._watching: dict[str, socket.socket] = {}
        self._act = act

    def middlebox(self, fault: Fault) -> Middlebox:
        """The middlebox, which executes a fault; it is inserted into the path on first use.

        Raises:
            FaultImpossible: The sequence numbers of older connections are not known.
        """
        if self._middlebox is None:
            # It needs the sequence numbers of connections that already exist.
            self._poll(fault)
            numbers = copy.deepcopy(self._connections)
            self._middlebox = Middlebox(self._edges, self._addresses, numbers, self._act)
            for space in self._ports:
                self._insert(space)
        return self._middlebox

    def watch(self) -> None:
        """Start to observe connections, so that segments can be crafted for them later."""
        for space, indexes in self._ports.items():
            if len(indexes) <= packet_socket.MOST_INTERFACES:
                self._watching[space] = packet_socket.receiver(self._spaces[space], indexes, size=_HEADERS)

    def add(self, fault: Fault) -> ActiveFault:
        """Activate a fault.

        Raises:
            EnvironmentUnsupported: This kernel does not support it.
        """
        edges = [e for e in self._edges.values() if fault.receiver in ("", e.host) and fault.sender != e.host]
        spaces = {edge.space for edge in edges}
        senders = self._addresses.get(fault.sender, set()) | self._aliases.get(fault.sender, set())
        # A counter works in one namespace only: the middlebox executes faults that span several.
        if not fault.needs_middlebox and len(spaces) == 1 and len(self._ports[min(spaces)]) <= drop_rules.MOST_DEVICES:
            space = spaces.pop()
            self._table(space)
            name = f"f{len(self._handles)}"
            nftables.run(
                self._spaces[space], drop_rules.drop(name, fault, [edge.interface for edge in edges], sorted(senders))
            )
            handle = ActiveFault(fault, self, name, space)
        elif fault.action == "inject":
            # The counted segments may have either direction; the sender and receiver belong to the crafted one.
            rule = Rule(fault, set(), set())
            self.middlebox(fault).add(rule)
            if fault.number or fault.watched.startswith(OTHER_KINDS):
                self._divert_datagrams()
            handle = ActiveFault(fault, self, rule=rule)
        else:
            # An action on the servers of a host counts segments to any host.
            to = {fault.receiver} if fault.receiver and fault.action not in PROGRAM_ACTIONS else set()
            rule = Rule(fault, senders, to)
            self.middlebox(fault).add(rule)
            if fault.number or fault.watched.startswith(OTHER_KINDS):
                self._divert_datagrams()
            handle = ActiveFault(fault, self, rule=rule)
        self._handles.append(handle)
        return handle

    def decide(self, watched: Fault, decide: Callable[[WatchedSegment], Fault | None]) -> ActiveFault:
        """Let a function decide what happens to each segment that a fault matches.

        Args:
            watched: The fault that selects the segments; its own action is not executed.
            decide: Called while the segment waits in the middle; returns a fault to apply to it, or None to deliver it.
        """
        senders = self._addresses.get(watched.sender, set()) | self._aliases.get(watched.sender, set())
        rule = Rule(watched, senders, {watched.receiver} if watched.receiver else set(), decide=decide)
        self.middlebox(watched).add(rule)
        handle = ActiveFault(watched, self, rule=rule)
        self._handles.append(handle)
        return handle

    def inject(self, fault: Fault) -> ActiveFault:
        """Craft a segment for a connection, and send it at once.

        Raises:
            FaultImpossible: No connection of these hosts has been observed, and the fault does not give all ports.
        """
        self._poll(fault)
        found = self._ends_for(fault)
        if found is None:
            raise FaultImpossible(str(fault), f"no connection of {fault.receiver} has been observed yet")
        edge, frame = craft_for(fault, *found, self._exits, self._addresses)
        with packet_socket.sender(self._spaces[edge.space], drop_rules.PASSED) as sock:
            sock.sendto(frame, (edge.interface, 0))
        handle = ActiveFault(fault, self)
        handle._at_once = 1  # noqa: SLF001 -- same module
        self._handles.append(handle)
        return handle

    def _ends_for(self, fault: Fault) -> tuple[ConnectionEnd, ConnectionEnd] | None:
        receivers = self._addresses[fault.receiver]
        senders = self._addresses.get(fault.sender, set()) | self._aliases.get(fault.sender, set())
        if not fault.sport:
            # An ICMP error comes from any node, about the connection of its receiver.
            return self._connections.latest(receivers, set() if fault.kind.startswith("ICMP") else senders, fault.port)
        if not (fault.sender and fault.port):
            raise FaultImpossible(str(fault), "with a source port, from_ and port have to be given too")
        # Of one family; IPv6 where both nodes have it, as their names.
        pairs = [(one, other) for one in senders for other in receivers if (":" in one) == (":" in other)]
        wanted = [pair for pair in pairs if fault.family in ("", "ipv6" if ":" in pair[0] else "ipv4")]
        if not wanted:
            raise FaultImpossible(str(fault), f"{fault.sender} and {fault.receiver} have no addresses of one family")
        one, other = max(sorted(wanted), key=lambda pair: ":" in pair[0])
        return self._connections.ends(Address(one, fault.sport), Address(other, fault.port))

    def counted(self, space: str, name: str) -> int:
        """The counter of a fault in the packet filter."""
        return nftables.counters(self._spaces[space], drop_rules.TABLE, drop_rules.HITS)[name]

    def disarm(self, space: str, name: str) -> None:
        """End a fault in the packet filter."""
        nftables.run(self._spaces[space], f"flush chain netdev {drop_rules.TABLE} {name}\n")

    def reports(self, now: int) -> list[FaultReport]:
        """How often each fault fired; ``now`` is the run's clock, in nanoseconds."""
        kernel = {
            space: nftables.counters(self._spaces[space], drop_rules.TABLE, drop_rules.HITS)
            for space in sorted({handle._space for handle in self._handles if handle._name})  # noqa: SLF001
        }
        found = []
        for handle in self._handles:
            if handle._rule is not None and handle._rule.decide is not None and handle.fired:  # noqa: SLF001
                found += [FaultReport(now, str(fault), 1, fault.optional) for fault in handle._rule.decided]  # noqa: SLF001
                continue
            fired = kernel[handle._space][handle._name] if handle._name else handle.fired  # noqa: SLF001
            found.append(FaultReport(now, str(handle.fault), fired, handle.fault.optional))
        return found

    def idle(self) -> list[Fault]:
        """The faults that never fired, and are not optional."""
        return [handle.fault for handle in self._handles if not handle.fault.optional and not handle.fired]

    def check(self) -> None:
        """Check that every fault fired that is not optional.

        Raises:
            FaultNeverFired: A fault did not; the error names all of them.
        """
        if idle := self.idle():
            raise FaultNeverFired.of({str(fault): "" for fault in idle})

    def close(self) -> None:
        """End the middlebox and all faults."""
        with contextlib.ExitStack() as stack:
            if self._middlebox is not None:
                stack.callback(self._middlebox.stop)
            for sock in self._watching.values():
                stack.callback(sock.close)

    def _table(self, space: str) -> None:
        if space not in self._tables:
            devices = [edge.interface for edge in self._edges.values() if edge.space == space]
            nftables.run(self._spaces[space], drop_rules.base(devices))
            self._tables.add(space)

    def _insert(self, space: str) -> None:
        self._table(space)
        with netns.inside(self._spaces[space]), Netlink() as netlink:
            # Frames sent into one end of a veth pair are visible there. The other end, on which no socket
            # receives, is brought up first, so that the pair can be used at once.
            for name in (drop_rules.SHOWN, drop_rules.SHOWN_LOST):
                end = f"{name}-end"
                netlink.ask([links.veth_pair(name, end), links.switch_on(end), links.switch_on(name)])
            indexes = links.indexes(netlink)
        assert self._middlebox is not None  # noqa: S101 -- its caller has just made it
        self._middlebox.attend(space, self._spaces[space], [indexes[drop_rules.SHOWN], indexes[drop_rules.SHOWN_LOST]])
        self._divert(space)

    def _divert(self, space: str) -> None:
        devices = [edge.interface for edge in self._edges.values() if edge.space == space]
        nftables.run(self._spaces[space], drop_rules.act(devices, datagrams=self._datagrams))

    def _divert_datagrams(self) -> None:
        """Have the middlebox receive UDP datagrams and ICMP errors too."""
        if not self._datagrams:
            self._datagrams = True
            for space in self._ports:
                self._divert(space)

    def _poll(self, fault: Fault) -> None:
        """Process the segments since the previous poll."""
        for sock in self._watching.values():
            if packet_socket.overrun(sock):
                raise FaultImpossible(str(fault), "there were too many segments to follow the sequence numbers")
            for frame, outgoing in packet_socket.read(sock, _HEADERS):
                segment = decode(frame)
                if segment is None:
                    continue
                if outgoing:
                    self._connections.given(segment)
                else:
                    self._connections.sent(segment)


def _towards_routers(plan: NetworkPlan) -> dict[bytes, Egress]:
    """The interfaces that lead to routers, by the router's hardware address."""
    found = {}
    for ends in plan.links:
        for port, peer in (ends, ends[::-1]):
            if plan.nodes[peer.node].kind == "router":
                space = MIDDLE if plan.nodes[port.node].kind == "switch" else port.node
                addresses = tuple(address.partition("/")[0] for address in peer.addresses)
                via = port.mac if plan.nodes[port.node].kind == "router" else ""
                found[links.mac_bytes(peer.mac)] = Egress(peer.node, space, port.name, peer.mac, addresses, via)
    return found


def _aliases(plan: NetworkPlan) -> dict[str, set[str]]:
    """The addresses that hosts behind a NAT router have on its other side."""
    found: dict[str, set[str]] = {}
    for router in plan.nodes.values():
        outside = [port for port in router.ports if port.name == router.masquerade]
        shown = {address.partition("/")[0] for port in outside for address in port.addresses}
        beyond = {plan.port(port.peer).node for port in outside}
        for name, node in plan.nodes.items():
            if shown and node.kind == "host" and name not in beyond:
                found[name] = shown
    return found
