"""sock_diag: a look at all TCP sockets of a network namespace, request sockets and TIME-WAIT included.

The request is the one that pyroute2's DiagSocket sends; the answer is decoded for the
fields needed only, because a full decode costs ten times the kernel's own work. The old
request form, TCPDIAG_GETSOCK, answers IPv4 and IPv6 in one dump (net/ipv4/inet_diag.c,
inet_diag_dump_compat: sdiag_family = AF_UNSPEC).
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import msgspec

from harness.errors import HandshakeError
from harness.tcp.states import FROM_LINUX, State
from harness.timeline.observations import Address, SocketGone, SocketSeen, TcpInfo, Timer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.recorder.clock import Clock

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_INFO = 2

_HEADER = struct.Struct("<IHHII")
_MESSAGE = struct.Struct("<BBBB2s2s16s16sIQIIIII")
_TCP_INFO = struct.Struct("<8B24I")
_TCP_INFO_LONG = struct.Struct("<QQII")

_TIMERS: tuple[Timer, ...] = (
    "",
    "on",
    "keepalive",
    "timewait",
    "persist",
    "delack",
)


_SETTLED = frozenset({State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_2, State.TIME_WAIT})


class Look(msgspec.Struct, frozen=True):
    """One socket as one dump showed it. ``expires`` in nanoseconds."""

    cookie: int
    state: State
    local: Address
    remote: Address
    timer: Timer
    expires: int
    retrans: int
    inode: int
    rqueue: int
    wqueue: int
    info: TcpInfo | None

    def differs(self, other: Look) -> bool:
        """Whether something that tells of the connection's progress has changed."""
        return (
            self.state is not other.state
            or self.timer != other.timer
            or self.retrans != other.retrans
            or (self.inode == 0) != (other.inode == 0)
            or self.rqueue != other.rqueue
            or self.wqueue != other.wqueue
        )


def _request() -> bytes:
    """An inet_diag_req for everything: any family, any state, with tcp_info."""
    extensions = 1 << (_INET_DIAG_INFO - 1)
    body = struct.pack("<BBBB48xII", socket.AF_UNSPEC, 0, 0, extensions, 0xFFFFFFFF, 0)
    return _HEADER.pack(_HEADER.size + len(body), _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, 1, 0) + body


class DiagError(HandshakeError):
    """The kernel refused to dump its sockets."""


class Diag:
    """Looks at one node's sockets.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.
    """

    name = "diag"

    def __init__(self, node: str, clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._request = _request()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        self._socket.bind((0, 0))
        self._last: dict[int, Look] = {}
        #: Connections whose state neither data nor an acknowledgment can change, by (local, remote).
        self.settled: set[tuple[Address, Address]] = set()
        self._at = clock.now()

    def look(self) -> Iterator[SocketSeen | SocketGone]:
        """Dump the sockets; yield what is new, changed or gone since the last look."""
        since, self._at = self._at, self._clock.now()
        before, self._last = self._last, {look.cookie: look for look in self.dump()}
        self.settled = {(look.local, look.remote) for look in self._last.values() if look.state in _SETTLED}
        for look in self._last.values():
            known = before.pop(look.cookie, None)
            if known is None or look.differs(known):
                yield SocketSeen(
                    t=self._at,
                    since=since,
                    node=self.node,
                    cookie=look.cookie,
                    state=look.state,
                    local=look.local,
                    remote=look.remote,
                    timer=look.timer,
                    expires=look.expires,
                    retrans=look.retrans,
                    inode=look.inode,
                    rqueue=look.rqueue,
                    wqueue=look.wqueue,
                    info=look.info,
                )
        for gone in before.values():
            yield SocketGone(
                t=self._at,
                since=since,
                node=self.node,
                cookie=gone.cookie,
                state=gone.state,
                local=gone.local,
                remote=gone.remote,
            )

    def next_timer(self) -> int | None:
        """When the first timer that the last look announced is due, on the run's clock."""
        due = [self._at + look.expires for look in self._last.values() if look.timer]
        return min(due, default=None)

    def open_sockets(self) -> list[Look]:
        """What the last look showed."""
        return list(self._last.values())

    def dump(self) -> Iterator[Look]:
        """All TCP sockets of the namespace now.

        Raises:
            DiagError: The kernel refused.
        """
        self._socket.send(self._request)
        while True:
            data = self._socket.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (error,) = struct.unpack_from("<i", data, at + 16)
                    raise DiagError(f"{self.node}: sock_diag answered with error {-error}")
                look = _decode(data, at + 16, at + length)
                if look is not None:
                    yield look
                at += (length + 3) & ~3

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()


def _decode(data: bytes, at: int, end: int) -> Look | None:
    family, state, timer, retrans, sport, dport, src, dst, _, cookie, expires, rqueue, wqueue, _, inode = (
        _MESSAGE.unpack_from(data, at)
    )
    known = FROM_LINUX.get(state)
    if known is None or known is State.CLOSED:
        return None  # bound but neither listening nor connecting: no connection yet
    info = None
    at += _MESSAGE.size
    while at + 4 <= end:
        length, kind = struct.unpack_from("<HH", data, at)
        if kind == _INET_DIAG_INFO:
            info = _tcp_info(data[at + 4 : at + length])
        at += max((length + 3) & ~3, 4)
    return Look(
        cookie=cookie,
        state=known,
        local=Address(_ip(family, src), int.from_bytes(sport, "big")),
        remote=Address(_ip(family, dst), int.from_bytes(dport, "big")),
        timer=_TIMERS[timer],
        expires=expires * 1_000_000,
        retrans=retrans,
        inode=inode,
        rqueue=rqueue,
        wqueue=wqueue,
        info=info,
    )


def _ip(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntoa(raw[:4])
    if raw[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntoa(raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def _tcp_info(raw: bytes) -> TcpInfo | None:
    if len(raw) < _TCP_INFO.size + 8 + 8 + _TCP_INFO_LONG.size:
        return None
    head = _TCP_INFO.unpack_from(raw)
    bytes_acked, bytes_received, segs_out, segs_in = _TCP_INFO_LONG.unpack_from(raw, 120)
    words = head[8:]
    return TcpInfo(
        ca_state=head[1],
        retransmits=head[2],
        probes=head[3],
        backoff=head[4],
        rto=words[0],
        unacked=words[4],
        lost=words[6],
        retrans=words[7],
        rtt=words[15],
        snd_cwnd=words[18],
        total_retrans=words[23],
        bytes_acked=bytes_acked,
        bytes_received=bytes_received,
        segs_out=segs_out,
        segs_in=segs_in,
    )
