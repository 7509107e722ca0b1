"""Random programs over random networks: no cause contradicts what the script did, what the kernel counted, and where.

Everything follows from the seed: each ``--handshake-seed`` makes one run over each network.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.tcp import craft
from icmp_messages import checked
from msgspec import structs
from oracle import Call, Oracle

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake_slow

NETWORKS = ["pair", "routed", "nat", "firewall,refuse=prohibited"]
#: Of ICMP's "destination unreachable": all but the one that names an MTU.
CODES = [code for code in range(16) if code != 4]
#: In h1, for connections within one host.
LOOPBACK = ("127.0.0.1", 90)
KINDS = ("SYN", "SYN-ACK", "ACK", "DATA", "FIN", "RST")
ABORT = struct.pack("ii", 1, 0)
#: Seconds in which TIME-WAIT ends, and retransmissions that a test's own settings limit.
ALL_OVER = 100.0


class Script:
    """A client and a server with random steps, and a log of these steps."""

    def __init__(self, net: Net, chance: random.Random) -> None:
        self._net = net
        self._chance = chance
        self.calls: list[Call] = []
        self._open: list[RecordedSocket] = []
        self._listener = net.h2.listen(80, backlog=chance.choice([0, 1, 5]))
        self._inner = net.h1.socket()
        self._inner.bind(LOOPBACK)
        self._inner.listen(1)
        self._datagrams = net.h1.udp_socket()

    def _log(self, what: str, cookie: int, do: Callable[[], object]) -> None:
        start = self._net.clock.now()
        try:
            do()
        finally:
            self.calls.append(Call(start, self._net.clock.now(), what, cookie))

    def impair(self) -> None:
        """Short timers, and faults that may have them come to their end."""
        net, chance = self._net, self._chance
        for host in (net.h1, net.h2):
            host.sysctl("net.ipv4.tcp_syn_retries", chance.choice([1, 2]))
            host.sysctl("net.ipv4.tcp_retries2", chance.choice([2, 3]))
            host.sysctl("net.ipv4.tcp_orphan_retries", chance.choice([1, 2]))
        for setting, value in (("tcp_abort_on_overflow", 1), ("tcp_max_tw_buckets", 0), ("tcp_syncookies", 2)):
            if chance.random() < 0.15:
                net.h2.sysctl(f"net.ipv4.{setting}", value)
        for _ in range(chance.choice([0, 1, 1, 2])):
            kind, way = chance.choice(KINDS), chance.choice(["h1", "h2"])
            nth = chance.choice(["", f" nth={chance.randint(1, 3)}"])
            what = chance.choice(["drop", "drop", "duplicate", "inject"])
            if what == "inject":
                made, to = chance.choice(["RST", "FIN", "SYN", "ACK"]), chance.choice(["h1", "h2"])
                net.network.fault(f"inject {made} to {to} seq={chance.choice(['+0', '+100'])} on ACK nth=2 optional")
            else:
                net.network.fault(f"{what} {kind} from {way}{nth} optional")

    def run(self) -> None:
        """Take a few steps; a call that fails is a part of it."""
        for _ in range(self._chance.randint(4, 12)):
            time.sleep(self._chance.choice([0, 0, 0.001, 0.05, 0.7, 3]))
            steps = [
                self._connect, self._connect, self._connect, self._accept, self._accept, self._within, self._begin,
                self._retry, self._tell, self._icmp, *[self._use] * 8,
            ]  # fmt: skip
            with suppress(OSError):
                self._chance.choice(steps)()
        if self._chance.random() < 0.3:
            self._log("listener", self._listener.cookie, self._listener.close)
        time.sleep(ALL_OVER)

    def _connect(self) -> None:
        made = self._net.h1.socket()
        self._open.append(made)
        made.settimeout(self._chance.choice([0.01, 2, 30]))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._chance.choice([0, 0, 1500]))
        target = (self._net.h2.ip, self._chance.choice([80, 80, 80, 81]))
        self._log("connect", made.cookie, lambda: made.connect(target))

    def _begin(self) -> None:
        """A connect() that does not block; its error, if any, is read later."""
        made = self._net.h1.socket()
        self._open.append(made)
        made.setblocking(False)
        target = (self._net.h2.ip, self._chance.choice([80, 81]))
        self._log("connect", made.cookie, lambda: made.connect_ex(target))

    def _retry(self) -> None:
        """The same socket again, after it was refused or has timed out."""
        made = self._net.h1.socket()
        self._open.append(made)
        for port in (81, 80):  # blocking: after a timeout of Python's own, the next call would only return the error
            target, failed = (self._net.h2.ip, port), []
            self._log("connect", made.cookie, lambda: failed.append(made.connect_ex(target)))  # noqa: B023  at once
            if failed[0] != errno.ECONNREFUSED:
                break

    def _within(self) -> None:
        """A connection of h1 with itself."""
        made = self._net.h1.socket()
        self._open.append(made)
        made.settimeout(2)
        self._log("connect", made.cookie, lambda: made.connect(LOOPBACK))
        self._inner.settimeout(1)
        self._open.append(self._inner.accept()[0])

    def _tell(self) -> None:
        """A datagram, to a port that may be closed."""
        self._datagrams.sendto(bytes(self._chance.choice([0, 10, 1000])), (self._net.h2.ip, 53))

    def _icmp(self) -> None:
        """An ICMP error about the last segment that h1 sent, from h2."""
        sent = [
            each
            for each in self._net.observations
            if isinstance(each, SegmentSeen) and each.node == "h1" and each.direction == "sent"
            if each.protocol == "TCP" and not each.icmp and each.interface != "lo"
        ]
        if sent:
            quoted = craft.segment(bytes(14), sent[-1].src, sent[-1].dst, "ACK", sent[-1].seq, 0)[14:]
            message = checked(bytes((3, self._chance.choice(CODES), 0, 0, 0, 0, 0, 0)) + quoted)
            with self._net.network["h2"].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
                raw.sendto(message, (self._net.h1.ip, 0))

    def _accept(self) -> None:
        self._listener.settimeout(1)
        self._open.append(self._listener.accept()[0])

    def _use(self) -> None:
        if not self._open:
            return
        used = self._chance.choice(self._open)
        used.settimeout(self._chance.choice([0.05, 1]))
        uses: list[Callable[[RecordedSocket], object]] = [
            lambda used: used.send(bytes(self._chance.choice([1, 100, 5000]))),
            lambda used: used.recv(self._chance.choice([1, 10_000])),
            self._shut_down, self._close, self._close, self._abort, self._close_in_a_thread, self._probe, self._destroy,
            self._disconnect, lambda used: used.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
        ]  # fmt: skip
        self._chance.choice(uses)(used)

    def _shut_down(self, used: RecordedSocket) -> None:
        how = self._chance.choice([socket.SHUT_WR, socket.SHUT_RDWR])
        self._log("shutdown", used.cookie, lambda: used.shutdown(how))

    def _close(self, used: RecordedSocket) -> None:
        self._open.remove(used)
        self._log("close", used.cookie, used.close)

    def _abort(self, used: RecordedSocket) -> None:
        used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self._close(used)

    def _disconnect(self, used: RecordedSocket) -> None:
        self._log("disconnect", used.cookie, used.disconnect)

    def _close_in_a_thread(self, used: RecordedSocket) -> None:
        closer = threading.Thread(target=self._close, args=(used,))
        closer.start()
        closer.join()

    @staticmethod
    def _probe(used: RecordedSocket) -> None:
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            used.setsockopt(socket.IPPROTO_TCP, option, 1)
        used.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _destroy(self, used: RecordedSocket) -> None:
        host = self._net.h2 if used.getsockname()[1] == 80 else self._net.h1
        port = used.getpeername()[1]
        self._log("destroy", used.cookie, lambda: host.run(["ss", "-K", "dport", "=", f":{port}"], check=False))


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=pytest.mark.handshake(topology=name, delay="5ms")) for name in NETWORKS]
)
def test_no_cause_contradicts_what_is_known(net: Net, network: str) -> None:
    """Every end of a connection is held against the log, the counters, and the task or interrupt it happened in."""
    chance = random.Random(f"{network} {net.kernel.seed}")  # noqa: S311  nothing secret
    script = Script(net, chance)
    script.impair()
    script.run()
    net.settle()
    record = net.record()
    observations = [*net.observations, *net.recorder.counters(net.clock.now())]

    assert list(Oracle(observations, script.calls).contradictions(record)) == [], describe(record)


@pytest.mark.handshake(delay="5ms")
def test_the_oracle_knows_a_wrong_cause(net: Net) -> None:
    """The check itself can fail: a timer in place of a close(), and an endpoint twice, are found."""
    client = net.h1.connect(net.h2.listen(80))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    start = net.clock.now()
    client.close()
    calls = [Call(0, start, "connect", client.cookie), Call(start, net.clock.now(), "abort", client.cookie)]
    net.sleep(1)
    record = net.record()
    oracle = Oracle([*net.observations, *net.recorder.counters(net.clock.now())], calls)
    (end,) = [each for each in record.endpoints if each.role == "client"]
    *steps, last = end.transitions
    wrong = structs.replace(last, cause=structs.replace(last.cause, kind="timer"))
    timed_out = structs.replace(end, transitions=(*steps, wrong))

    assert list(oracle.contradictions(record)) == []
    assert list(oracle.contradictions(structs.replace(record, endpoints=(timed_out,))))
    assert list(oracle.contradictions(structs.replace(record, endpoints=(end, end))))
