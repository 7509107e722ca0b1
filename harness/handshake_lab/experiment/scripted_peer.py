"""A peer without a socket: it sends the segments that a test writes, and checks those that it receives.

    peer = net.h2.scripted_peer(80)
    net.h1.begin_connect(("h2", 80))
    peer.expect("S")
    peer.send("SA", options="mss:1000")
    peer.expect("A", seq=1, ack=1)
    peer.expect_nothing(2.0)

Numbers count from the initial sequence numbers of both sides, as in a ladder. The host's own kernel does not see the
segments that are for the peer: a packet filter drops them after the peer and the capture have received them
(net/core/dev.c, __netif_receive_skb_core()), so it answers none of them.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import SegmentUnexpected, UsageError, WaitTimedOut
from handshake_lab.linux import nftables, packet_socket
from handshake_lab.linux.netlink.links import mac_bytes
from handshake_lab.linux.timerfd import KernelTimer
from handshake_lab.plan.fault_values import read_value
from handshake_lab.tcp import craft, flags
from handshake_lab.tcp.icmp import code_of
from handshake_lab.tcp.options import encode_options, show_options
from handshake_lab.tcp.segment import Options, Segment, decode
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.network.nodes import NetworkHost
    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.tcp.address import Address

_FRAME = 65_550
#: Seconds of the kernel's time that a segment is waited for: more than TCP's longest retransmission timeout.
WITHIN = 130.0
#: The initial sequence number of a peer. It is not 0, so that relative and absolute numbers differ.
FIRST = 1_000_000


class ReceivedSegment(msgspec.Struct, frozen=True):
    """A segment that a peer has received: ``seq`` and ``ack`` count from the initial sequence numbers.

    ``flags`` are letters in the order ``SFRPAUEW``; ``window`` is the field, not scaled; ``time`` is nanoseconds of the
    kernel's monotonic clock.
    """

    flags: str
    seq: int
    ack: int
    payload: bytes
    window: int
    options: Options
    raw: Segment
    time: int

    def __str__(self) -> str:
        text = f"{flags.names(self.flags)} seq={self.seq}" + (f" ack={self.ack}" if "A" in self.flags else "")
        shown = show_options(self.raw.raw_options)
        return f"{text} len={len(self.payload)} win={self.window}" + (f" <{shown}>" if shown else "")


class ScriptedPeer:
    """One end of a connection in a host, without a socket. Made by `Host.scripted_peer`.

    Attributes:
        local: Its address.
        remote: The other end's address; its port is known from the first segment on, if none was given.
        isn: Its initial sequence number.
        remote_isn: The other end's, once its SYN has been received.
    """

    def __init__(
        self, recording: LiveRecording, host: NetworkHost, local: Address, remote: Address | None, isn: int
    ) -> None:
        self.local = local
        self.remote = remote
        self.isn = isn
        self.remote_isn: int | None = None
        self._host = host
        self._plan = recording.network.plan
        self._network = recording.network
        self._table = f"peer-{local.port}-{remote.port if remote else 0}"
        self._interfaces = [port.name for port in host.ports]
        self._receiving = packet_socket.receiver(host.space, [port.index for port in host.ports], size=_FRAME)
        self._sending = packet_socket.sender(host.space, 0)
        self._timer = KernelTimer()
        self._waiting: list[ReceivedSegment] = []
        self._next_expected: int | None = None
        nftables.run(host.space, self._rules())
        recording.own(self)

    def close(self) -> None:
        """End the peer: the host's own kernel answers from now on."""
        if self._receiving.fileno() < 0:
            return
        nftables.run(self._host.space, f"delete table netdev {self._table}\n")
        self._receiving.close()
        self._sending.close()
        self._timer.close()

    def _rules(self) -> str:
        devices = ", ".join(f'"{name}"' for name in self._interfaces)
        match = f"tcp dport {self.local.port}"
        if self.remote is not None and self.remote.port:
            match = f"{match} tcp sport {self.remote.port}"
        hook = f"type filter hook ingress devices = {{ {devices} }} priority 0"
        return f"table netdev {self._table} {{ chain in {{ {hook}; {match} drop; }}; }}\n"

    # -- sending ----------------------------------------------------------------------------

    def send(
        self,
        kind: str,
        *,
        seq: int = 0,
        ack: int | None = None,
        payload: bytes | str | int = b"",
        window: int = 65535,
        options: str | bytes = "",
        absolute: bool = False,
    ) -> None:
        """Send a segment.

        Args:
            kind: Its flags, as letters or names: "S", "SA", "PSH-ACK", "none".
            seq: Its sequence number, from the peer's initial one.
            ack: Its acknowledgment number, from the other end's initial one; None: everything received so far, if the
                flags have ACK.
            payload: Bytes, text, or a number of zero bytes.
            window: Its window field, not scaled.
            options: ``"mss:1000,nop,ws:7"``, as for `Net.inject`.
            absolute: ``seq`` and ``ack`` are the numbers in the header.

        Raises:
            UsageError: A value is invalid, or the other end's address is not known yet.
        """
        letters = flags.letters(kind)
        if letters is None:
            raise UsageError("kind", kind, "is not a combination of flags", "SYN-ACK")
        remote = self._known_remote()
        data = read_value("payload", "payload", payload)
        field = read_value("window", "window", window)
        number = seq if absolute else add(self.isn, seq)
        back = None
        if "A" in letters:
            base = self.remote_isn or 0
            back = self._expected if ack is None else ack if absolute else add(base, ack)
        frame = craft.segment(
            self._ethernet(remote.ip), self.local, remote, flags.names(letters), number % 2**32, back, data,
            window=field, options=encode_options(options),
        )  # fmt: skip
        self._sending.sendto(frame, (self._interface(remote.ip), 0))

    def send_icmp(self, kind: str, *, about: ReceivedSegment, mtu: int = 0) -> None:
        """Send an ICMP error about a segment that was received.

        Args:
            kind: "port unreachable", "host unreachable", "fragmentation needed", …
            about: The segment.
            mtu: The MTU that it reports, where it has one.

        Raises:
            UsageError: The version of IP does not have such an error.
        """
        remote = self._known_remote()
        version = 6 if ":" in self.local.ip else 4
        code = code_of(kind.replace("-", " "), version=version)
        if code is None:
            raise UsageError("kind", kind, f"is not an error of ICMP for IPv{version}", "port unreachable")
        quoted = (about.raw.src, about.raw.dst, about.raw.seq)
        frame = craft.icmp_error(self._ethernet(remote.ip), self.local.ip, quoted, *code, mtu)
        self._sending.sendto(frame, (self._interface(remote.ip), 0))

    # -- receiving --------------------------------------------------------------------------

    def receive(self, within: float = WITHIN) -> ReceivedSegment:
        """The next segment.

        Args:
            within: Seconds of the kernel's time to wait at most.

        Raises:
            WaitTimedOut: There was none.
        """
        found = self._next(within)
        if found is None:
            raise WaitTimedOut(f"a segment for the peer {self.local}", within)
        return found

    def expect(
        self,
        kind: str,
        *,
        seq: int | None = None,
        ack: int | None = None,
        payload: bytes | None = None,
        length: int | None = None,
        window: int | None = None,
        within: float = WITHIN,
    ) -> ReceivedSegment:
        """The next segment, which has to be this one; what is not given is not compared.

        Args:
            kind: Exactly its flags, as letters or names: "S", "SYN-ACK", "PA".
            seq: Its sequence number, from the other end's initial one.
            ack: Its acknowledgment number, from the peer's initial one.
            payload: Its data.
            length: The number of bytes of its data.
            window: Its window field, not scaled.
            within: Seconds of the kernel's time to wait at most.

        Raises:
            SegmentUnexpected: It is another one.
            WaitTimedOut: There was none.
        """
        letters = flags.letters(kind)
        if letters is None:
            raise UsageError("kind", kind, "is not a combination of flags", "SYN-ACK")
        found = self.receive(within)
        wanted = {"flags": letters, "seq": seq, "ack": ack, "payload": payload, "length": length, "window": window}
        seen = {name: getattr(found, name) for name in ("flags", "seq", "ack", "payload", "window")}
        seen["length"] = len(found.payload)
        wrong = [name for name, value in wanted.items() if value is not None and value != seen[name]]
        if wrong:
            shown = ", ".join(f"{name}={wanted[name]!r}" for name in wrong)
            raise SegmentUnexpected(str(self.local), f"{flags.names(letters)} with {shown}", str(found))
        return found

    def expect_nothing(self, seconds: float) -> None:
        """Check that no segment arrives for some seconds of the kernel's time.

        Raises:
            SegmentUnexpected: One arrives.
        """
        found = self._next(seconds)
        if found is not None:
            raise SegmentUnexpected(str(self.local), f"nothing for {seconds:g} s", str(found))

    @property
    def received(self) -> list[ReceivedSegment]:
        """The segments that have arrived and were not asked for yet."""
        self._read()
        return list(self._waiting)

    def _next(self, within: float) -> ReceivedSegment | None:
        self._read()
        end = time.monotonic_ns() + int(within * 1e9)
        while not self._waiting:
            self._timer.set(end)
            ready, _, _ = select.select([self._receiving.fileno(), self._timer.fileno()], [], [])
            self._read()
            if not self._waiting and self._receiving.fileno() not in ready:
                return None
        return self._waiting.pop(0)

    def _read(self) -> None:
        for frame, outgoing in packet_socket.read(self._receiving, _FRAME):
            segment = None if outgoing else decode(frame)
            if segment is None or segment.dst != self.local:
                continue
            if self.remote is None or not self.remote.port:
                self.remote = segment.src
            if segment.src != self.remote:
                continue
            if "S" in segment.flags:
                self.remote_isn = segment.seq
            end = len(frame) if segment.length else 0
            payload = frame[end - segment.length : end] if segment.length else b""
            base = self.remote_isn or 0
            back = add(segment.ack, -self.isn) if "A" in segment.flags else 0
            self._waiting.append(
                ReceivedSegment(
                    segment.flags, add(segment.seq, -base), back, payload, segment.window, segment.options, segment,
                    time.monotonic_ns(),
                )
            )  # fmt: skip
            self._advance(segment)

    def _advance(self, segment: Segment) -> None:
        """Keep the number that acknowledges everything that was received in order."""
        size = segment.length + ("S" in segment.flags) + ("F" in segment.flags)
        if self._next_expected is None or "S" in segment.flags or segment.seq == self._next_expected:
            self._next_expected = add(segment.seq, size)

    @property
    def _expected(self) -> int:
        return self._next_expected or 0

    # -- the way ----------------------------------------------------------------------------

    def _known_remote(self) -> Address:
        if self.remote is None or not self.remote.port:
            raise UsageError(
                "to", "", "is not known: nothing has been received yet", 'scripted_peer(80, to=("h1", 40000))'
            )
        return self.remote

    def _interface(self, ip: str) -> str:
        return _way(self._plan, self._host.name, ip)[0]

    def _ethernet(self, ip: str) -> bytes:
        name, target = _way(self._plan, self._host.name, ip)
        own = self._plan.port(name).mac
        return mac_bytes(target) + mac_bytes(own) + (b"\x86\xdd" if ":" in ip else b"\x08\x00")


def _way(plan: NetworkPlan, host: str, ip: str) -> tuple[str, str]:
    """The interface of a host towards an address, and the hardware address of the next hop."""
    ports = {port.name: port for ends in plan.links for port in ends}
    gateways = [via for _, _, via in plan.nodes[host].routes if (":" in via) == (":" in ip)]
    for wanted in (ip, *gateways):
        for domain in plan.domains():
            own = next((name for name in domain if ports[name].node == host), None)
            for name in domain:
                if own is not None and any(wanted == each.partition("/")[0] for each in ports[name].addresses):
                    return own, ports[name].mac
    raise UsageError("to", ip, f"cannot be reached from {host}", 'scripted_peer(80, to=("h1", 40000))')
