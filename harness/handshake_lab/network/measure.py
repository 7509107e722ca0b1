"""Measures a network with real packets, and compares the result with the requested impairments.

UDP datagrams are sent from host to host. UDP neither retransmits nor delays them, so the times of
arrival depend on the network only. All hosts are on one machine with one clock, so one-way delays
can be measured.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import HandshakeError
from handshake_lab.network.network import Network
from handshake_lab.plan import units
from handshake_lab.plan.link import DEFAULT_LIMIT, Impairment, LinkSpec
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.recording.run_files import ERROR

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.network.nodes import NetworkHost
    from handshake_lab.plan.network_plan import NetworkPlan

#: The file that `job` writes.
FINDINGS = "measured.json"

#: Headers of a frame in front of a datagram: Ethernet, then IPv4 or IPv6, then UDP.
_OVERHEAD = {socket.AF_INET: 14 + 20 + 8, socket.AF_INET6: 14 + 40 + 8}
_SMALL, _LARGE = 32, 1400
_PROBES = 4000
_TRAIN = 100
#: The tolerance of a delay, for programs and timers (none in virtual time).
_DELAY_TOLERANCE = 1 * units.MILLISECOND
_RATE_TOLERANCE = 0.02
#: The number of standard deviations on either side that contains 99.9 % of a normal distribution. A
#: check makes several such comparisons, and should not fail by chance.
_Z = 3.291


class ExpectedPath(msgspec.Struct, frozen=True):
    """The expected impairment of a path: all its links together."""

    hops: tuple[Impairment, ...]

    @property
    def delay(self) -> int:
        """Nanoseconds, without the transmission time at a limited rate."""
        return sum(hop.delay for hop in self.hops)

    @property
    def jitter(self) -> int:
        """The maximum deviation in nanoseconds (of a uniform distribution)."""
        return sum(hop.jitter for hop in self.hops)

    @property
    def rate(self) -> int:
        """Bits per second; 0: unlimited."""
        return min((hop.rate for hop in self.hops if hop.rate), default=0)

    @property
    def limit(self) -> int:
        """The number of packets that fit into the path's smallest queue."""
        return min((hop.limit or DEFAULT_LIMIT for hop in self.hops), default=DEFAULT_LIMIT)

    @property
    def survival(self) -> float:
        """The probability that a packet arrives undamaged."""
        chance = 1.0
        for hop in self.hops:
            chance *= (1 - hop.corrupt / units.CERTAIN) * (1 - _loss(hop))
        return chance

    @property
    def burstiness(self) -> float:
        """The factor by which burst losses increase the standard deviation of the number of losses."""
        models = [hop.gilbert for hop in self.hops if hop.gilbert]
        self_transition = max((1 - (m.worsen + m.recover) / units.CERTAIN for m in models), default=0.0)
        return ((1 + self_transition) / (1 - self_transition)) ** 0.5 if self_transition < 1 else 1.0

    def sending(self, size: int) -> int:
        """The transmission time in nanoseconds of a frame of this many bytes, over all links with a rate."""
        return sum(size * 8 * units.SECOND // hop.rate for hop in self.hops if hop.rate)


def _loss(hop: Impairment) -> float:
    if hop.gilbert is None:
        return hop.loss / units.CERTAIN
    model = hop.gilbert
    bad = model.worsen / (model.worsen + model.recover)
    return (bad * model.bad + (1 - bad) * model.good) / units.CERTAIN


class Measurement(msgspec.Struct, frozen=True):
    """One property of one path, as requested and as measured."""

    path: str
    what: str  #: "RTT", "delay", "loss", "rate"
    asked: str
    measured: str
    right: bool


def expected(plan: NetworkPlan, wanted: dict[str, Impairment], sender: str, receiver: str) -> ExpectedPath:
    """The expected impairment of the path from one host to another.

    Args:
        plan: The network.
        wanted: Each impaired direction, by the interface that sends into it.
        sender: A host.
        receiver: Another.
    """
    ways = (wanted.get(port.name) for port in plan.path(sender, receiver))
    return ExpectedPath(tuple(way for way in ways if way))


class _Probe:
    """Two UDP sockets on two hosts that know each other's address, as seen through firewalls and NAT."""

    def __init__(self, one: NetworkHost, other: NetworkHost, timeout: float) -> None:
        self.hosts = (one, other)
        self.timeout = timeout
        self.sockets = [host.socket(kind=socket.SOCK_DGRAM) for host in self.hosts]
        for host, sock in zip(self.hosts, self.sockets, strict=True):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.bind((host.ip, 0))
        self.targets: list[Any] = [self.sockets[1].getsockname(), self.sockets[0].getsockname()]

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def exchange_addresses(self, tries: int = 20) -> bool:
        """Exchange datagrams until both know each other's address: a firewall admits only answers, a NAT translates."""
        known = [False, False]
        for attempt in range(tries):
            sender = attempt % 2
            self.sockets[sender].sendto(b"", self.targets[sender])
            if self._wait(1 - sender):
                _, self.targets[1 - sender] = self.sockets[1 - sender].recvfrom(2048)
                known[sender] = True
            if all(known):
                break
        for index in (0, 1):
            while self._wait(index):
                self.sockets[index].recv(2048)
        return all(known)

    def _wait(self, receiver: int) -> bool:
        return bool(select.select([self.sockets[receiver]], [], [], self.timeout)[0])

    def send(self, sender: int, count: int, size: int) -> list[tuple[int, int, int]]:
        """Send datagrams back to back.

        Returns:
            For each that arrived, in their order: its number, when it was sent and when it
            arrived, in nanoseconds.
        """
        padding = bytes(size - 16)
        for number in range(count):
            self.sockets[sender].sendto(struct.pack("=QQ", number, time.monotonic_ns()) + padding, self.targets[sender])
        arrived = []
        receiver = self.sockets[1 - sender]
        while self._wait(1 - sender):
            data = receiver.recv(2048)
            now = time.monotonic_ns()
            if len(data) == size:
                number, sent = struct.unpack_from("=QQ", data)
                arrived.append((number, sent, now))
        return arrived


def measure(net: Network, one: str, other: str, probes: int = _PROBES) -> list[Measurement]:
    """Measure the path between two hosts in both directions, and compare it with the requested impairments."""
    ways = [expected(net.plan, net.impairments, *pair) for pair in ((one, other), (other, one))]
    slowest = max(way.delay + way.jitter + way.sending(2 * _LARGE) for way in ways)
    probe = _Probe(net[one], net[other], slowest / units.SECOND + 0.25)
    try:
        if not probe.exchange_addresses():
            lossless = all(way.survival > 0.5 for way in ways)
            return [Measurement(f"{one}-{other}", "reach", "packets both ways", "no packet arrives", not lossless)]
        return _findings(probe, ways, (one, other), probes)
    finally:
        probe.close()


def _findings(probe: _Probe, ways: list[ExpectedPath], names: tuple[str, str], probes: int) -> list[Measurement]:
    found = []
    overhead = _OVERHEAD[probe.hosts[0].family]
    delays: list[float] = []
    for sender, way in enumerate(ways):
        path = f"{names[sender]}>{names[1 - sender]}"
        single = [sample for _ in range(25) for sample in probe.send(sender, 1, _SMALL)]
        asked = way.delay + way.sending(_SMALL + overhead)
        measured = sum(got - sent for _, sent, got in single) / max(1, len(single))
        delays.append(measured)
        # The standard deviation of a mean is that of one packet divided by the root of the number of packets.
        spread = way.jitter / max(1, len(single)) ** 0.5 * 3
        right = bool(single) and abs(measured - asked) <= _DELAY_TOLERANCE + spread
        found.append(Measurement(path, "delay", _ms(asked), _ms(measured), right))
        found.append(_loss_of(probe, sender, way, path, probes))
        if way.rate:
            found.append(_rate_of(probe, sender, way, path, overhead))
    asked = sum(way.delay + way.sending(_SMALL + overhead) for way in ways)
    spread = sum(way.jitter for way in ways)
    right = abs(sum(delays) - asked) <= 2 * _DELAY_TOLERANCE + spread
    return [Measurement(f"{names[0]}-{names[1]}", "RTT", _ms(asked), _ms(sum(delays)), right), *found]


def _loss_of(probe: _Probe, sender: int, way: ExpectedPath, path: str, probes: int) -> Measurement:
    batch = max(1, min(way.limit // 2, 250, probes))
    arrived = sum(len({number for number, _, _ in probe.send(sender, batch, _SMALL)}) for _ in range(probes // batch))
    sent = probes // batch * batch
    chance = 1 - way.survival
    half = _Z * (chance * (1 - chance) / sent) ** 0.5 * way.burstiness
    loss = 1 - arrived / sent
    correlated = any(hop.loss_correlation for hop in way.hops)
    right = abs(loss - chance) <= half + 1e-12 or correlated
    asked = f"{chance:.3%} ± {half:.3%}" + (" (correlated: not compared)" if correlated else "")
    return Measurement(path, "loss", asked, f"{loss:.3%} of {sent}", right)


def _rate_of(probe: _Probe, sender: int, way: ExpectedPath, path: str, overhead: int) -> Measurement:
    arrived = probe.send(sender, max(3, min(_TRAIN, way.limit)), _LARGE)
    if len(arrived) < 3:
        return Measurement(path, "rate", units.show_rate(way.rate), "too few packets arrived", right=False)
    arrived.sort(key=lambda sample: sample[2])
    narrow = next(index for index, hop in enumerate(way.hops) if hop.rate == way.rate)
    lossy = [index for index, hop in enumerate(way.hops) if _loss(hop)]
    # A packet that is lost after the slowest link has been transmitted by it; one that is lost before has not.
    behind = bool(lossy) and min(lossy) > narrow
    frames = arrived[-1][0] - arrived[0][0] if behind else len(arrived) - 1
    bits = frames * (_LARGE + overhead) * 8
    rate = bits * units.SECOND / (arrived[-1][2] - arrived[0][2])
    mixed = way.jitter > 0 or (lossy and min(lossy) <= narrow < max(lossy))
    right = abs(rate / way.rate - 1) <= _RATE_TOLERANCE or bool(mixed)
    return Measurement(path, "rate", units.show_rate(way.rate), f"{rate / 1e6:.4g}mbit", right)


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / units.MILLISECOND:.3f} ms"


def job(argument: dict[str, Any], results: Path) -> int:
    """Inside the kernel: build a network, measure it, and write the results to `FINDINGS`, or the error to `ERROR`."""
    links = msgspec.convert(argument["links"], tuple[LinkSpec, ...])
    try:
        with Network(load_topology(argument["topology"]), link=links) as net:
            hosts = [host.name for host in net.hosts][: argument["hosts"]]
            found = [
                finding for pair in itertools.pairwise(hosts) for finding in measure(net, *pair, argument["probes"])
            ]
    except HandshakeError as error:
        (results / ERROR).write_text(json.dumps(error.to_document()))
    else:
        (results / FINDINGS).write_text(json.dumps(msgspec.to_builtins(found)))
    return 0
