"""The middlebox: a thread in the path that executes faults that the kernel's packet filter cannot.

It receives every TCP segment that is about to leave the middle towards a host, and forwards it at
once or later, once or several times, unchanged or damaged; or it drops it. It sends the segment
through the interface that it was about to leave through, so that everything after it (the link's
impairment, captures) works as without the middlebox.

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
from handshake_lab.linux.netlink.links import mac_bytes
from handshake_lab.linux.timerfd import KernelTimer
from handshake_lab.network.faults.drop_rules import PASSED, SHOWN_LOST
from handshake_lab.plan.fault import Fault
from handshake_lab.tcp import craft, flags
from handshake_lab.tcp.segment import Segment, decode
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from handshake_lab.network.faults.connection_numbers import ConnectionEnd, ConnectionNumbers

_FRAME = 65_550


class Egress(msgspec.Struct, frozen=True):
    """An exit of the middle: to one host, through one interface of one namespace."""

    host: str
    space: str
    interface: str
    mac: str  #: the host's
    addresses: tuple[str, ...]  #: the host's addresses at this link
    via: str  #: the router's hardware address there; empty if it is a switch


class WatchedSegment(msgspec.Struct, frozen=True):
    """A segment about which a function decides, while it waits in the middle."""

    number: int  #: among the segments that the rule acts on, from 1
    segment: Segment
    receiver: str  #: the host to which it is about to leave
    lost: bool  #: another fault drops it, whatever is decided


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

    def matches(self, segment: Segment, edge: Egress) -> bool:
        """Whether the fault counts this segment."""
        fault = self.fault
        if self.receivers and edge.host not in self.receivers:
            return False
        if self.senders and segment.src.ip not in self.senders:
            return False
        if fault.port and fault.port not in (segment.src.port, segment.dst.port):
            return False
        return is_kind(segment, fault.watched)

    def count(self, segment: Segment, edge: Egress, *, lost: bool) -> Fault | None:
        """Count a segment; returns the fault to apply to it, or None."""
        if not self.matches(segment, edge):
            return None
        self.seen += 1
        if not self.fault.hits(self.seen):
            return None
        self.fired += 1
        if self.decide is None:
            return self.fault
        decision = self.decide(WatchedSegment(self.seen, segment, edge.host, lost))
        if decision is not None:
            self.decided.append(decision)
        return decision


def is_kind(segment: Segment, kind: str) -> bool:
    """Whether a segment is of a kind (`handshake_lab.plan.fault.KINDS`, or a combination of flags)."""
    if kind == "any":
        return True
    if kind == "DATA":
        return segment.length > 0
    if kind == "FIN":
        return "F" in segment.flags and "R" not in segment.flags
    if kind == "RST":
        return "R" in segment.flags
    if kind == "ACK" and segment.length:
        return False
    return flags.match(segment.flags, flags.letters(kind) or "")


class Middlebox:
    """Executes faults on the segments that it receives.

    Args:
        edges: All exits, by the host's hardware address.
        addresses: The IP addresses of each host.
        connections: The connections observed before it was inserted into the path.
    """

    def __init__(
        self, edges: Mapping[bytes, Egress], addresses: Mapping[str, set[str]], connections: ConnectionNumbers
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
        self._error: BaseException | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._timer = KernelTimer()
        self._thread = threading.Thread(target=self._run, name="middlebox", daemon=True)

    def attend(self, name: str, space: int, indexes: Sequence[int]) -> None:
        """Receive from the interfaces of a namespace to which segments are redirected."""
        sock = packet_socket.receiver(space, indexes, size=_FRAME)
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
        segment = decode(frame)
        edge = self._edges.get(frame[:6])
        if segment is None or edge is None:
            return
        self._connections.sent(segment)
        hit: list[Fault] = []
        held: Rule | None = None
        turn: Fault | None = None
        for rule in self._rules:
            fault = rule.count(segment, edge, lost=lost)
            if fault is None:
                continue
            hit.append(fault)
            if fault.action == "hold":
                held = held or rule
            elif fault.action == "reorder":
                turn = turn or fault
        if not lost and not any(fault.action == "drop" for fault in hit):
            self._connections.given(segment)
            self._forward(edge, frame, hit, held, turn, (segment.src, segment.dst))
        for fault in hit:
            if fault.action == "inject":
                self._inject(fault, segment)

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
        delay = sum(fault.by for fault in hit)
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

    def _inject(self, fault: Fault, behind: Segment) -> None:
        receivers = self._addresses[fault.receiver]
        senders = self._addresses.get(fault.sender, set())
        port = behind.src.port if behind.src.ip in receivers else behind.dst.port
        found = self._connections.latest(receivers, senders, port)
        if found is None:
            raise UsageError("fault", str(fault), f"found no connection of {fault.receiver}", "inject RST to h2 on SYN")
        edge, frame = craft_for(fault, *found, self._edges)
        self._send(edge, frame)


def craft_for(
    fault: Fault, sender: ConnectionEnd, receiver: ConnectionEnd, edges: Mapping[bytes, Egress]
) -> tuple[Egress, bytes]:
    """The segment that an ``inject`` crafts for a connection, and the exit through which it leaves.

    An end that has not received a segment yet (SYN-SENT) expects no particular number: the
    distance is then counted from 0.
    """
    edge = next(edge for edge in edges.values() if receiver.address.ip in edge.addresses)
    # After a switch the source address is the sender's; after a router it is the router's.
    near = next((known.mac for known in edges.values() if sender.address.ip in known.addresses), edge.mac)
    kind = b"\x86\xdd" if ":" in receiver.address.ip else b"\x08\x00"
    ethernet = mac_bytes(edge.mac) + mac_bytes(edge.via or near) + kind
    seq = add(receiver.given or 0, fault.seq)
    ack = None
    if fault.ack is not None or "ACK" in fault.kind:
        ack = add(receiver.sent or 0, fault.ack or 0)
    frame = craft.segment(ethernet, sender.address, receiver.address, fault.kind, seq, ack)
    return edge, frame
