"""sock_diag: what to ask the kernel for its TCP sockets, and how to read what it answers.

Two ways to ask. A *dump* shows every socket; its cost grows with their number. An *exact*
request for one connection costs the same however many there are. For dumps, the old request form
TCPDIAG_GETSOCK answers IPv4 and IPv6 at once (net/ipv4/inet_diag.c, inet_diag_dump_compat).

Reading is lean, because a full decode costs many times the kernel's own work: a socket that looks
as it did is known by its bytes, and of one that does not only the state is decoded at once.
benchmarks/looks.py holds the cost against the same answers received and thrown away.

Source: include/uapi/linux/inet_diag.h; inet_sk_diag_fill() and its like in net/ipv4/inet_diag.c.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from functools import lru_cache
from typing import NamedTuple

import msgspec

from handshake_lab.errors import HandshakeError
from handshake_lab.linux.netlink.connection import DONE, ERROR, attributes
from handshake_lab.recording.observations import Address, SocketTimer, TcpInfo
from handshake_lab.tcp.states import FROM_LINUX, State

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 0x1
_NLM_F_REQUEST_DUMP = 0x301
_INET_DIAG_INFO = 2

_HEADER = struct.Struct("<IHHII")
#: A message's length and type; then a struct inet_diag_msg: family, state, timer and retransmissions in
#: one word; both ends with their interface; cookie, milliseconds left to the timer, queues, owner, inode.
_SOCKET = struct.Struct("<IH10xI40sQI16s")
_ENDS = struct.Struct(">HH16s16s")
_TAIL = struct.Struct("<IIII")
#: The fields of a struct tcp_info that `TcpInfo` has, in the order of the kernel (include/uapi/linux/tcp.h).
_TCP_INFO = struct.Struct("<x4B3xI12xI4xII28xI8xI16xI16xQQII")

_TIMERS: tuple[SocketTimer, ...] = ("", "on", "keepalive", "timewait", "persist", "delack")
#: The states of connections and listeners by the kernel's numbers; "" for what is neither.
_STATES = tuple({**FROM_LINUX, 7: ""}.get(number, "") for number in range(256))

#: What one answer holds at the most: netlink_dump() (net/netlink/af_netlink.c) goes no further.
_ROOM = 1 << 15

#: A connection as a node sees it: its own address first.
Flow = tuple[Address, Address]


class SocketSnapshot(msgspec.Struct, gc=False):
    """One socket as the kernel showed it: the bytes it gave, and what they say.

    ``left``, the milliseconds until the socket's timer is due, is brought up to date where a later
    dump shows the same but for it; ``details`` are then those of the first time.
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
        """Both ends, its own first."""
        return _flow(self.word & 0xFF, self.ends)

    @property
    def local(self) -> Address:
        """Its own end."""
        return self.flow[0]

    @property
    def remote(self) -> Address:
        """The other end."""
        return self.flow[1]

    @property
    def timer(self) -> SocketTimer:
        """What it waits for."""
        return _TIMERS[self.word >> 16 & 0xFF]

    @property
    def expires(self) -> int:
        """Nanoseconds until that timer is due; the kernel tells whole milliseconds."""
        return self.left * 1_000_000

    @property
    def retrans(self) -> int:
        """How often it has sent again, or probed, without an answer."""
        return self.word >> 24

    @property
    def rqueue(self) -> int:
        """Bytes, or a listener's connections, that wait to be taken."""
        return _TAIL.unpack(self.tail)[0]  # type: ignore[no-any-return]

    @property
    def wqueue(self) -> int:
        """Bytes that are not acknowledged; of a listener, its backlog."""
        return _TAIL.unpack(self.tail)[1]  # type: ignore[no-any-return]

    @property
    def inode(self) -> int:
        """0: a request, an orphan or a mini-socket, which no process holds."""
        return _TAIL.unpack(self.tail)[3]  # type: ignore[no-any-return]

    @property
    def info(self) -> TcpInfo | None:
        """What it tells of itself; None where it does not, or where tcp_info is shorter (a kernel before 4.2)."""
        raw = attributes(self.details).get(_INET_DIAG_INFO, b"")
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
        """Whether something that tells of the connection's progress has changed."""
        if self.word != other.word:
            return True
        rqueue, wqueue, _, inode = _TAIL.unpack(self.tail)
        before = _TAIL.unpack(other.tail)
        return (rqueue, wqueue, inode == 0) != (before[0], before[1], before[3] == 0)


class SocketDump(NamedTuple):
    """All sockets by their cookies: which are new or not as they were, and where only the time left to a timer is."""

    found: dict[int, SocketSnapshot]
    changed: dict[int, SocketSnapshot]
    ticking: list[SocketSnapshot]


class SockDiagError(HandshakeError):
    """The kernel refused to show its sockets."""


def _dump_request(states: int) -> bytes:
    """An inet_diag_req for all sockets in some states, of any family, with tcp_info."""
    extensions = 1 << (_INET_DIAG_INFO - 1)
    body = struct.pack("<BBBB48xII", socket.AF_UNSPEC, 0, 0, extensions, states, 0)
    return _HEADER.pack(_HEADER.size + len(body), _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, 1, 0) + body


EVERYTHING = _dump_request(0xFFFFFFFF)
#: The kernel then does not even walk the table of connections (net/ipv4/tcp_diag.c, tcp_diag_dump).
LISTENERS = _dump_request(1 << 10)


@lru_cache(4096)
def exact_request(flow: Flow) -> bytes:
    """An inet_diag_req_v2 for one connection, whatever its cookie."""
    local, remote = flow
    family = socket.AF_INET6 if ":" in local.ip else socket.AF_INET
    body = struct.pack(
        "<BBBBI2s2s16s16sIq",
        family,
        socket.IPPROTO_TCP,
        1 << (_INET_DIAG_INFO - 1),
        0,
        0xFFFFFFFF,
        local.port.to_bytes(2, "big"),
        remote.port.to_bytes(2, "big"),
        socket.inet_pton(family, local.ip),
        socket.inet_pton(family, remote.ip),
        0,
        -1,  # INET_DIAG_NOCOOKIE
    )
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body


class SockDiag:
    """A netlink socket in the network namespace of the calling thread.

    Args:
        node: Whose namespace it is, for errors.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        self._socket.bind((0, 0))

    def dump(self, request: bytes, known: dict[int, SocketSnapshot]) -> SocketDump:
        """All TCP sockets that a request asks for, beside those that are known.

        Raises:
            SockDiagError: The kernel refused.
        """
        dump = SocketDump({}, {}, [])
        self._socket.send(request)
        while not self._read(self._socket.recv(_ROOM), known, dump):
            pass
        return dump

    def exact(self, flow: Flow) -> SocketSnapshot | None:
        """One connection's socket; None where there is none.

        Raises:
            SockDiagError: The kernel refused.
        """
        dump = SocketDump({}, {}, [])
        self._socket.send(exact_request(flow))
        self._read(self._socket.recv(_ROOM), {}, dump)
        return next(iter(dump.found.values()), None)

    def _read(self, data: bytes, known: dict[int, SocketSnapshot], dump: SocketDump) -> bool:
        """Read one answer; whether it was the last of its dump."""
        found, changed, ticking = dump
        get, unpack, states, size = known.get, _SOCKET.unpack_from, _STATES, _SOCKET.size
        at, end = 0, len(data) - size
        while at <= end:
            length, kind, word, ends, cookie, left, tail = unpack(data, at)
            if kind <= DONE:  # or ERROR, which is less
                break
            snapshot = get(cookie)
            if snapshot is None or snapshot.word != word or snapshot.tail != tail or snapshot.ends != ends:
                state = states[word >> 8 & 0xFF]
                if state:  # else closed, or bound and neither listening nor connecting: no connection yet
                    found[cookie] = changed[cookie] = SocketSnapshot(
                        cookie, state, word, ends, left, tail, data[at + size : at + length]
                    )
            else:
                found[cookie] = snapshot
                if snapshot.left != left:
                    snapshot.left = left
                    ticking.append(snapshot)
            at += (length + 3) & ~3
        return self._is_over(data, at)

    def _is_over(self, data: bytes, at: int) -> bool:
        if at >= len(data):
            return False
        _, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == ERROR:
            (number,) = struct.unpack_from("<i", data, at + _HEADER.size)
            if -number != errno.ENOENT:  # else there is no such connection
                raise SockDiagError(f"{self._node}: sock_diag refused: {os.strerror(-number)}")
        return True

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()


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
