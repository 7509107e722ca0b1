"""The middlebox: a thread in the path that executes faults that the kernel's packet filter cannot.

It receives every TCP segment that is about to leave the middle towards a host (and every datagram, if a fault is for
datagrams), and forwards it at once or later, once or several times, unchanged or damaged; or it drops it. It sends the
segment through the interface that it was about to leave through, so that everything after it (the link's impairment,
captures) works as without the middlebox.

On the lab kernel it takes no virtual time. On a real kernel it delays a segment by the wake-up of a
thread, tens of microseconds.
"""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.linux import packet_socket
from handshake_lab.linux.timerfd import KernelTimer
from handshake_lab.network.faults.connection_numbers import ConnectionEnd
from handshake_lab.network.faults.crafting import Egress, craft_for
from handshake_lab.network.faults.drop_rules import PASSED, SHOWN_LOST
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_matching import Datagram, icmp_kind, is_kind
from handshake_lab.plan.fault_text import PROGRAM_ACTIONS
from handshake_lab.tcp import craft
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.icmp import decode_error
from handshake_lab.tcp.segment import Segment, decode, ip_source, udp_ports
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from handshake_lab.network.faults.connection_numbers import ConnectionNumbers

_FRAME = 65_550


class Passing(msgspec.Struct):
    """A packet in the middle.

    Attributes:
        packet: The segment or datagram.
        src: Its source.
        dst: Its destination.
        edge: The exit that it is about to take.
        number: How many segments hosts have sent up to this one, which is its number in a ladder.
        ends: The sender's end of its connection and the other, if it is a segment.
    """

    packet: Segment | Datagram
    src: Address
    dst: Address
    edge: Egress
    number: int
    ends: tuple[ConnectionEnd, ConnectionEnd] | None = None

    def is_labelled(self, fault: Fault) -> bool:
        """Whether this is the segment that a fault names as a ladder does: by number, and with these numbers if any."""
        if self.number != fault.number or fault.length not in (None, self.packet.length):
            return False
        if isinstance(self.packet, Datagram) or self.ends is None:
            return True
        mine, other = self.ends
        numbers = ((fault.rel_seq, self.packet.seq, mine.opened), (fault.rel_ack, self.packet.ack, other.opened))
        # Relative numbers are not known where the SYN was not observed.
        return all(None in (wanted, base) or add(base or 0, wanted or 0) == raw for wanted, raw, base in numbers)


class WatchedSegment(msgspec.Struct, frozen=True):
    """A segment about which a function decides, while it waits in the middle."""

    number: int  #: among the segments that the rule acts on, from 1
    segment: Segment
    receiver: str  #: the host to which it is about to leave
    lost: bool  #: another fault drops it, independent of the decision


class Rule(msgspec.Struct):
    """An active fault and its counters."""

    fault: Fault
    senders: set[str]  #: addresses; empty for any
    receivers: set[str]  #: hosts; empty for any
    seen: int = 0
    fired: int = 0
    held: list[tuple[Egress, bytes]] = []
    decide: Callable[[WatchedSegment], Fault | None] | None = None  #: decides about each segment
    decided: list[Fault] = []  #: its decisions so far

    def matches(self, passing: Passing) -> bool:
        """Whether the fault counts this segment."""
        fault = self.fault
        if self.receivers and passing.edge.host not in self.receivers:
            return False
        if self.senders and passing.src.ip not in self.senders:
            return False
        if fault.port and fault.port not in (passing.src.port, passing.dst.port):
            return False
        if fault.family and (":" in passing.src.ip) != (fault.family == "ipv6"):
            return False
        if fault.number and not passing.is_labelled(fault):
            return False
        return is_kind(passing.packet, fault.watched, labelled=bool(fault.number))

    def count(self, passing: Passing, *, lost: bool) -> Fault | None:
        """Count a segment; returns the fault to apply to it, or None."""
        if not self.matches(passing):
            return None
        self.seen += 1
        if not self.fault.hits(self.seen):
            return None
        self.fired += 1
        if self.decide is None:
            return self.fault
        if isinstance(passing.packet, Datagram):
            return None
        decision = self.decide(WatchedSegment(self.seen, passing.packet, passing.edge.host, lost))
        if decision is not None:
            self.decided.append(decision)
        return decision


class Middlebox:
    """Executes faults on the segments that it receives.

    Args:
        edges: All exits, by the host's hardware address.
        addresses: The IP addresses of each host.
        connections: The connections observed before it was inserted into the path.
        act: Carries out an action on the servers of a host; returns whether one was running.
    """

    def __init__(
        self,
        edges: Mapping[bytes, Egress],
        addresses: Mapping[str, set[str]],
        connections: ConnectionNumbers,
        act: Callable[[Fault], bool],
    ) -> None:
        self._edges = edges
        self._addresses = addresses
        self._rules: list[Rule] = []
        self._shown: dict[int, socket.socket] = {}
        self._senders: dict[str, socket.socket] = {}
        self._late: list[tuple[int, int, Egress, bytes]] = []
        self._behind: list[tuple[int, tuple[object, object], Egress, bytes]] = []
        self._order = 0
        self._connections = connections
        self._act = act
        self._error: BaseException | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._timer = KernelTimer()
        self._thread = threading.Thread(target=self._run, name="middlebox", daemon=True)

    def attend(self, name: str, space: int, indexes: Sequence[int]) -> None:
        """Receive from the interfaces of a namespace to which segments are redirected."""
        sock = packet_socket.receiver(space, indexes, size=_FRAME, every=True)
        with self._changed:
            self._shown[sock.fileno()] = sock
            self._senders[name] = packet_socket.sender(space, PASSED)
        if not self._thread.is_alive():
            self._thread.start()
        self._wake_up()

    def add(self, rule: Rule) -> None:
        """Activate a fault."""
        with self._changed:
            self._rules.append(rule)

    def remove(self, rule: Rule) -> None:
        """End a fault and release the segments that it holds."""
        self.release(rule)
        with self._changed:
            self._rules.remove(rule)

    def release(self, rule: Rule, count: int | None = None) -> int:
        """Release held segments in the order of their arrival.

        Returns:
            How many.
        """
        with self._changed:
            self._check()
            going, rule.held = rule.held[:count], rule.held[len(rule.held[:count]) :]
            for edge, frame in going:
                self._send(edge, frame)
        return len(going)

    def wait(self, rule: Rule, times: int, limit: float) -> bool:
        """Wait until a fault has fired a number of times; False if that took longer than ``limit`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._check() or rule.fired >= times, limit)

    def stop(self) -> None:
        """End the thread. Segments that are held or delayed at that time are lost.

        Raises:
            Exception: The exception that ended the thread early.
        """
        with self._changed:
            self._stopping = True
        if self._thread.is_alive():
            self._wake_up()
            self._thread.join()
        for sock in self._shown.values():
            sock.close()
        for sock in self._senders.values():
            sock.close()
        os.close(self._wake)
        self._timer.close()
        self._check()

    def _check(self) -> bool:
        if self._error is not None:
            raise self._error
        return False

    def _wake_up(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # noqa: BLE001 -- raised to the next caller
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _turn(self) -> None:
        self._timer.set(self._late[0][0] if self._late else None)
        ready, _, _ = select.select([*self._shown, self._wake, self._timer.fileno()], [], [])
        with self._changed:
            while self._late and self._late[0][0] <= time.monotonic_ns():
                _, _, edge, frame = heapq.heappop(self._late)
                self._send(edge, frame)
            for descriptor in ready:
                if descriptor in self._shown:
                    self._read(self._shown[descriptor])
                elif descriptor == self._wake:
                    os.eventfd_read(self._wake)
            self._changed.notify_all()

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                frame, address = sock.recvfrom(_FRAME)
            except BlockingIOError:
                break
            self._handle(frame, lost=address[0] == SHOWN_LOST)
        if packet_socket.overrun(sock):
            raise EnvironmentUnsupported(
                "The middlebox was too slow for the traffic", "Use --kernel lab, where it takes no virtual time."
            )

    def _handle(self, frame: bytes, *, lost: bool) -> None:
        edge = self._edges.get(frame[:6])
        passing = self._passing(frame, edge) if edge else None
        if edge is None or passing is None:
            return
        counted = [(rule, rule.count(passing, lost=lost)) for rule in self._rules]
        hit = [fault for _, fault in counted if fault is not None]
        held = next((rule for rule, fault in counted if fault is not None and fault.action == "hold"), None)
        turn = next((fault for fault in hit if fault.action == "reorder"), None)
        for rule, fault in counted:
            if fault is not None and fault.action in PROGRAM_ACTIONS and not self._act(fault) and rule.decide is None:
                rule.fired -= 1  # it did nothing
        if not lost and not any(fault.action == "drop" for fault in hit):
            if not isinstance(passing.packet, Datagram):
                self._connections.given(passing.packet)
            self._forward(edge, frame, hit, held, turn, (passing.src, passing.dst))
        for fault in hit:
            if fault.action == "inject":
                self._inject(fault, passing)

    def _passing(self, frame: bytes, edge: Egress) -> Passing | None:
        segment = decode(frame)
        if segment is not None:
            ends = self._connections.sent(segment)
            return Passing(segment, segment.src, segment.dst, edge, self._connections.count, ends)
        source = ip_source(frame)
        if source is None:
            return None
        error = decode_error(frame)
        if error is not None:
            # A ladder numbers it among the segments.
            self._connections.count += 1
            kind = Datagram(icmp_kind(error.kind))
            return Passing(kind, Address(source, error.src.port), error.dst, edge, self._connections.count)
        ports = udp_ports(frame)
        if ports is None:
            return Passing(Datagram("ICMP"), Address(source, 0), Address("", 0), edge, 0)
        return Passing(Datagram("UDP", ports[2]), Address(source, ports[0]), Address("", ports[1]), edge, 0)

    def _forward(
        self,
        edge: Egress,
        frame: bytes,
        hit: list[Fault],
        held: Rule | None,
        turn: Fault | None,
        flow: tuple[object, object],
    ) -> None:
        if any(fault.action == "corrupt" for fault in hit):
            frame = craft.damaged(frame)
        delay = sum(fault.by for fault in hit if fault.action == "delay")
        for _ in range(1 + sum(fault.copies for fault in hit)):
            if held is not None:
                held.held.append((edge, frame))
            elif turn is not None:
                self._behind.append((turn.behind, flow, edge, frame))
            elif delay:
                self._order += 1
                heapq.heappush(self._late, (time.monotonic_ns() + delay, self._order, edge, frame))
            else:
                self._send(edge, frame)
        if held is None and turn is None and not delay:
            self._let_follow(flow)

    def _let_follow(self, flow: tuple[object, object]) -> None:
        """A segment of the flow was forwarded: segments that are to follow it may be due."""
        waiting, self._behind = self._behind, []
        for left, of, edge, frame in waiting:
            left -= of == flow  # noqa: PLW2901
            if left:
                self._behind.append((left, of, edge, frame))
            else:
                self._send(edge, frame)

    def _send(self, edge: Egress, frame: bytes) -> None:
        self._senders[edge.space].sendto(frame, (edge.interface, 0))

    def _inject(self, fault: Fault, behind: Passing) -> None:
        receivers = self._addresses[fault.receiver]
        # An ICMP error comes from any node, about the connection of its receiver.
        senders = set() if fault.kind.startswith("ICMP") else self._addresses.get(fault.sender, set())
        port = behind.src.port if behind.src.ip in receivers else behind.dst.port
        found = self._connections.latest(receivers, senders, fault.port or port)
        if found is None:
            raise UsageError("fault", str(fault), f"found no connection of {fault.receiver}", "inject RST to h2 on SYN")
        edge, frame = craft_for(fault, *found, self._edges, self._addresses)
        self._connections.count += 1
        self._send(edge, frame)
