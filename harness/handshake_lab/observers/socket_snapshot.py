"""What one poll of a node's sockets shows, as values.

Parsing does as little as possible, because decoding all fields takes many times as long as the kernel's own
work: an unchanged socket is recognised by its bytes, and of a changed socket only the state is decoded at once.
benchmarks/poll_cost.py compares the cost with that of receiving and discarding the same answers.

Source: include/uapi/linux/inet_diag.h, include/uapi/linux/tcp.h; inet_sk_diag_fill() in net/ipv4/inet_diag.c.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache
from typing import NamedTuple

import msgspec

from handshake_lab.linux.netlink.connection import DONE, attributes
from handshake_lab.linux.netlink.sock_diag import INET_DIAG_INFO, SOCKET, SockDiag, exact_request
from handshake_lab.recording.observations import SocketTimer, TcpInfo
from handshake_lab.tcp.address import Address, Flow
from handshake_lab.tcp.states import FROM_LINUX, State

_ENDS = struct.Struct(">HH16s16s")
_TAIL = struct.Struct("<IIII")
#: The fields of struct tcp_info that `TcpInfo` contains, in the kernel's order (include/uapi/linux/tcp.h).
_TCP_INFO = struct.Struct("<x4B3xI12xI4xII28xI8xI16xI16xQQII")

_TIMERS: tuple[SocketTimer, ...] = ("", "on", "keepalive", "timewait", "persist", "delack")
#: The states of connections and listeners by the kernel's numbers; "" for other sockets.
_STATES = tuple({**FROM_LINUX, 7: ""}.get(number, "") for number in range(256))


class SocketSnapshot(msgspec.Struct, gc=False):
    """One socket as the kernel reported it: the raw bytes and their meaning.

    ``left``, the milliseconds until the socket's timer expires, is updated if it is the only value that
    differs in a later dump; ``details`` are then still those of the first dump.
    """

    cookie: int
    state: State
    word: int
    ends: bytes
    left: int
    tail: bytes
    details: bytes

    @property
    def flow(self) -> Flow:
        """Both addresses, its own first."""
        return _flow(self.word & 0xFF, self.ends)

    @property
    def local(self) -> Address:
        """Its own address."""
        return self.flow[0]

    @property
    def remote(self) -> Address:
        """The peer's address."""
        return self.flow[1]

    @property
    def timer(self) -> SocketTimer:
        """The timer that is running."""
        return _TIMERS[self.word >> 16 & 0xFF]

    @property
    def expires(self) -> int:
        """Nanoseconds until that timer expires; the kernel reports whole milliseconds."""
        return self.left * 1_000_000

    @property
    def retrans(self) -> int:
        """The number of retransmissions or probes without an answer."""
        return self.word >> 24

    @property
    def rqueue(self) -> int:
        """Bytes that the program has not read; for a listener, connections that it has not accepted."""
        return _TAIL.unpack(self.tail)[0]  # type: ignore[no-any-return]

    @property
    def wqueue(self) -> int:
        """Bytes that are not acknowledged; for a listener, its backlog."""
        return _TAIL.unpack(self.tail)[1]  # type: ignore[no-any-return]

    @property
    def inode(self) -> int:
        """The inode; 0 for a socket that no process holds: a request, an orphan or a mini-socket."""
        return _TAIL.unpack(self.tail)[3]  # type: ignore[no-any-return]

    @property
    def info(self) -> TcpInfo | None:
        """Its tcp_info; None if the answer has none, or a shorter one (a kernel before 4.2)."""
        raw = attributes(self.details).get(INET_DIAG_INFO, b"")
        if len(raw) < _TCP_INFO.size:
            return None
        (
            ca_state, retransmits, probes, backoff, rto, unacked, lost, retrans, rtt, snd_cwnd, total_retrans,
            bytes_acked, bytes_received, segs_out, segs_in,
        ) = _TCP_INFO.unpack_from(raw)  # fmt: skip
        return TcpInfo(
            ca_state, retransmits, probes, backoff, rto, rtt, unacked, lost, retrans, total_retrans, snd_cwnd,
            bytes_acked, bytes_received, segs_out, segs_in,
        )  # fmt: skip

    def differs(self, other: SocketSnapshot) -> bool:
        """Whether a value that shows the connection's progress has changed."""
        if self.word != other.word:
            return True
        rqueue, wqueue, _, inode = _TAIL.unpack(self.tail)
        before = _TAIL.unpack(other.tail)
        return (rqueue, wqueue, inode == 0) != (before[0], before[1], before[3] == 0)


class SocketDump(NamedTuple):
    """All sockets by cookie: those that are new or have changed, and those of which only the timer has advanced."""

    found: dict[int, SocketSnapshot]
    changed: dict[int, SocketSnapshot]
    ticking: list[SocketSnapshot]


class SocketSnapshots:
    """Polls the sockets of the network namespace of the calling thread.

    Args:
        node: Whose namespace it is, for errors.
    """

    def __init__(self, node: str) -> None:
        self._kernel = SockDiag(node)

    def dump(self, request: bytes, known: dict[int, SocketSnapshot]) -> SocketDump:
        """All TCP sockets that match a request, compared with those that are already known.

        Raises:
            SockDiagError: The kernel refused.
        """
        dump = SocketDump({}, {}, [])
        self._kernel.send(request)
        while not self._read(self._kernel.receive(), known, dump):
            pass
        return dump

    def exact(self, flow: Flow) -> SocketSnapshot | None:
        """One connection's socket; None if there is none.

        Raises:
            SockDiagError: The kernel refused.
        """
        dump = SocketDump({}, {}, [])
        self._kernel.send(exact_request(flow))
        self._read(self._kernel.receive(), {}, dump)
        return next(iter(dump.found.values()), None)

    def _read(self, data: bytes, known: dict[int, SocketSnapshot], dump: SocketDump) -> bool:
        """Process one answer; return whether it was the last one of its dump."""
        found, changed, ticking = dump
        get, unpack, states, size = known.get, SOCKET.unpack_from, _STATES, SOCKET.size
        at, end = 0, len(data) - size
        while at <= end:
            length, kind, word, ends, cookie, left, tail = unpack(data, at)
            if kind <= DONE:  # or ERROR, which is a smaller number
                break
            snapshot = get(cookie)
            if snapshot is None or snapshot.word != word or snapshot.tail != tail or snapshot.ends != ends:
                state = states[word >> 8 & 0xFF]
                if state:  # otherwise it is closed, or bound but neither listening nor connecting
                    found[cookie] = changed[cookie] = SocketSnapshot(
                        cookie, state, word, ends, left, tail, data[at + size : at + length]
                    )
            else:
                found[cookie] = snapshot
                if snapshot.left != left:
                    snapshot.left = left
                    ticking.append(snapshot)
            at += (length + 3) & ~3
        return self._kernel.is_over(data, at)

    def close(self) -> None:
        """Close the netlink socket."""
        self._kernel.close()


@lru_cache(8192)
def _flow(family: int, ends: bytes) -> Flow:
    sport, dport, src, dst = _ENDS.unpack_from(ends)
    return Address(_ip(family, src), sport), Address(_ip(family, dst), dport)


def _ip(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntoa(raw[:4])
    if raw[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntoa(raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)
