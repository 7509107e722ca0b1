"""Random programs over random networks: their results are not known in advance, but their records must be consistent.

Links, settings, faults and what the programs do follow from the seed: with ``--seed 7`` they are others.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from handshake_lab import State
from handshake_lab.recording.messages import Message
from handshake_lab.tcp.diagram.lookup import BY_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab import Endpoint, Net, Record, RecordedSocket, Transition

pytestmark = pytest.mark.handshake_slow

KINDS = ("SYN", "SYN-ACK", "ACK", "DATA", "FIN", "RST")
#: What may be objected to in a sound record: the kernel reports a reset that never came, and a request that is given
#: up in the instant in which it came shows in its segments alone.
OBJECTIONS = {"reset_not_received", "connection_only_captured", "derived_from_segments_alone"}
#: Nanoseconds from a segment's arrival to what it leads to: in the lab kernel computing takes no time.
AT_ONCE = 500_000
#: Seconds in which TIME-WAIT ends.
TIME_WAIT_OVER = 70.0


def impair(net: Net, chance: random.Random) -> None:
    """A short or a long way, what is lost on it, settings, faults."""
    delay, loss = chance.choice(["0ms", "0ms", "1ms", "20ms", "300ms"]), chance.choice(["0%", "0%", "10%", "30%"])
    for host in ("h1", "h2"):
        net.link("s1", host).set(to=host, delay=delay, loss=loss)
    for setting, value in (("tcp_abort_on_overflow", 1), ("tcp_syncookies", 2), ("tcp_max_tw_buckets", 0)):
        if chance.random() < 0.15:
            net.h2.sysctl(f"net.ipv4.{setting}", value)
    for _ in range(chance.choice([0, 1, 2])):
        net.network.fault(f"{fault(chance)} optional")


def fault(chance: random.Random) -> str:
    """Something done to segments, in the words of ``--fault``."""
    kind, nth = chance.choice(KINDS), chance.randint(1, 3)
    action = chance.choice(["drop", "drop", "delay", "duplicate", "reorder", "inject"])
    if action == "inject":
        made = chance.choice(["SYN", "SYN-ACK", "ACK", "FIN", "RST"])
        to, seq = chance.choice(["h1", "h2"]), chance.choice(["+0", "+1", "-1", "+100", "+70000"])
        return f"inject {made} to {to} seq={seq} on ACK nth={nth}"
    by = chance.choice([" 1ms", " 300ms", " 3s"]) if action == "delay" else ""
    return f"{action} {kind}{by} nth={nth}"


class Programs:
    """A client that opens a few connections and a server that accepts some: what each does next is chance."""

    def __init__(self, net: Net, chance: random.Random) -> None:
        self._net = net
        self._chance = chance
        self._listener = net.h2.listen(80, backlog=chance.choice([0, 1, 5]))
        self._open: list[RecordedSocket] = []

    def run(self) -> None:
        """Take a few steps, each as an application might; a call that fails is a part of it."""
        for _ in range(self._chance.randint(4, 14)):
            time.sleep(self._chance.choice([0, 0, 0, 0.001, 0.05, 0.3, 1.5]))
            with suppress(OSError):
                self._chance.choice([self._connect, self._accept, self._use, self._use])()
        if self._chance.random() < 0.7:
            for each in (*self._open, self._listener):
                each.close()
        time.sleep(self._chance.choice([0, TIME_WAIT_OVER]))

    def _connect(self) -> None:
        made = self._net.h1.socket()
        self._open.append(made)
        made.settimeout(self._chance.choice([0.01, 3]))
        made.connect((self._net.h2.ip, 80))

    def _accept(self) -> None:
        self._listener.settimeout(2)
        self._open.append(self._listener.accept()[0])

    def _use(self) -> None:
        if not self._open:
            return
        used = self._chance.choice(self._open)
        used.settimeout(self._chance.choice([0.05, 2]))
        uses: list[Callable[[], object]] = [
            lambda: used.send(bytes(self._chance.choice([1, 100, 5000]))),
            lambda: used.recv(self._chance.choice([1, 10_000])),
            lambda: used.shutdown(self._chance.choice([socket.SHUT_WR, socket.SHUT_RDWR])),
            lambda: self._close(used),
            lambda: self._abort(used),
        ]
        self._chance.choice(uses)()

    def _close(self, used: RecordedSocket) -> None:
        self._open.remove(used)
        used.close()

    def _abort(self, used: RecordedSocket) -> None:
        used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close(used)


def unsound(record: Record) -> Iterator[str]:
    """What cannot be so, in words."""
    for message in record.objections:
        yield from (f"objection: {each}" for each in _parts(message) if each.code not in OBJECTIONS)
    arrived = {
        (segment.number, segment.receiver): segment.received
        for segment in record.segments
        if segment.received is not None and not segment.damaged
    }
    for end in record.endpoints:
        for step in end.transitions:
            yield from (f"{end.node} {end.local} {step.old}→{step.new}: {text}" for text in _wrong(end, step, arrived))
    for segment in record.segments:
        if None not in (segment.sent, segment.received) and segment.received < segment.sent:
            yield f"#{segment.number} arrived before it was sent"


def _wrong(end: Endpoint, step: Transition, arrived: dict[tuple[int, str], int]) -> Iterator[str]:
    if step.edge is None or (BY_ID[step.edge].old, BY_ID[step.edge].new) != (step.old, step.new):
        yield f"is not edge {step.edge}"
    if not step.witnesses:
        yield "was observed by none"
    if step.cause.kind == "unknown":
        yield str(step.cause.text)
    for part in _parts(step.objection):
        if part.code not in OBJECTIONS:
            yield str(part)
    if step.cause.kind in ("segment", "reset"):
        at = arrived.get((step.cause.segment or 0, end.node))
        if at is None or abs(step.time - at) > AT_ONCE:
            yield f"happened at {step.time}, and {step.cause.text} #{step.cause.segment} at {at}"


def _parts(message: Message | None) -> Iterator[Message]:
    """Two messages together count as two."""
    if message is not None and message.code == "several":
        for value in message.values.values():
            if isinstance(value, Message):
                yield from _parts(value)
    elif message is not None:
        yield message


def held(states: list[State]) -> Counter[State]:
    """How many sockets are in each state in which they are a connection's."""
    return Counter(state for state in states if state not in (State.CLOSED, State.LISTEN))


@pytest.mark.parametrize("program", range(8))
def test_what_is_read_of_a_random_program_is_sound(net: Net, program: int) -> None:
    """Every transition is an edge, was seen, and has its cause where and when it was; the states are the kernel's."""
    if net.kernel.real_time:
        pytest.skip("in real time no observer is complete: only the lab kernel's records must leave nothing open")
    chance = random.Random(f"{program} {net.kernel.seed}")  # noqa: S311  nothing secret
    impair(net, chance)
    Programs(net, chance).run()
    net.settle()

    shown = {name: held([snapshot.state for snapshot in net[name].sockets()]) for name in ("h1", "h2")}
    record = net.record()
    read = {name: held([end.states[-1] for end in record.endpoints if end.node == name]) for name in ("h1", "h2")}
    assert list(unsound(record)) == []
    assert shown == read
