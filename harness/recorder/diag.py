"""sock_diag: the TCP sockets of a network namespace, request sockets and TIME-WAIT included.

Two ways to look. A *dump* shows every socket; its cost grows with their number. An *exact*
look at one connection costs the same however many there are. The requests are those that
pyroute2's DiagSocket sends; the answers are decoded for the fields needed only, because a
full decode costs ten times the kernel's own work. For dumps, the old request form
TCPDIAG_GETSOCK answers IPv4 and IPv6 at once (net/ipv4/inet_diag.c, inet_diag_dump_compat).
"""

from __future__ import annotations

import errno
import heapq
import os
import socket
import struct
from functools import lru_cache
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
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 0x1
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_INFO = 2

_HEADER = struct.Struct("<IHHII")
_MESSAGE = struct.Struct("<BBBB2s2s16s16sIQIIIII")
_END_OF_MESSAGE = _HEADER.size + _MESSAGE.size
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


#: Nanoseconds after which a timer that is due and has not been seen to fire is looked at again: about a jiffy.
DUE_AGAIN = 4_000_000
#: sock_diag tells timers in whole milliseconds.
_JITTER = 2_000_000

#: How many decoded answers are kept, to be had again where the kernel gives the same one.
_MANY = 8192

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


#: A connection as a node sees it: its own address first.
Flow = tuple[Address, Address]


def _dump_request(states: int) -> bytes:
    """An inet_diag_req for all sockets in some states, of any family, with tcp_info."""
    extensions = 1 << (_INET_DIAG_INFO - 1)
    body = struct.pack("<BBBB48xII", socket.AF_UNSPEC, 0, 0, extensions, states, 0)
    return _HEADER.pack(_HEADER.size + len(body), _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, 1, 0) + body


_EVERYTHING = _dump_request(0xFFFFFFFF)
#: The kernel then does not even walk the table of connections (net/ipv4/tcp_diag.c, tcp_diag_dump).
_LISTENERS = _dump_request(1 << 10)


@lru_cache(4096)
def _exact_request(flow: Flow) -> bytes:
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
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        self._socket.bind((0, 0))
        self._known: dict[int, Look] = {}
        self._decoded: dict[bytes, Look] = {}
        self._flows: dict[Flow, int] = {}
        self._looked_all = clock.now()
        self._looked_at: dict[Flow, int] = {}
        self._due: list[tuple[int, int]] = []  # a heap of (when, cookie); some are outdated
        self._announced: dict[int, int] = {}  # cookie -> when its timer is due
        self._overdue: set[int] = set()  # cookies whose timer was due and has not been seen to fire

    def look(self) -> Iterator[SocketSeen | SocketGone]:
        """Look at all sockets; yield what is new, changed or gone since each was last looked at."""
        t = self._clock.now()
        found = {look.cookie: look for look in self._ask(_EVERYTHING)}
        for cookie in self._known.keys() - found.keys():
            yield self._gone(t, cookie)
        known = self._known
        for look in found.values():
            if known.get(look.cookie) is not look:  # else the very answer of last time
                yield from self._seen(t, look)
        self._looked_all = t
        self._looked_at.clear()

    def look_at(self, flow: Flow) -> Iterator[SocketSeen | SocketGone]:
        """Look at one connection."""
        t = self._clock.now()
        look = next(
            (look for look in self._ask(_exact_request(flow), dump=False) if look.state is not State.LISTEN), None
        )
        cookie = self._flows.get(flow)
        if cookie is not None and (look is None or look.cookie != cookie):
            yield self._gone(t, cookie)
        if look is not None:
            yield from self._seen(t, look)
        self._looked_at[flow] = t

    def look_at_listeners(self) -> Iterator[SocketSeen | SocketGone]:
        """Look at the sockets that listen, and how many connections wait in each."""
        t = self._clock.now()
        found = {look.cookie: look for look in self._ask(_LISTENERS)}
        for cookie in [each.cookie for each in self._known.values() if each.state is State.LISTEN]:
            if cookie not in found:
                yield self._gone(t, cookie)
        for look in found.values():
            yield from self._seen(t, look)

    def _seen(self, t: int, look: Look) -> Iterator[SocketSeen]:
        known = self._known.get(look.cookie)
        flow = look.local, look.remote
        self._known[look.cookie] = look
        self._flows[flow] = look.cookie
        if not look.timer:
            self._announced.pop(look.cookie, None)
            self._overdue.discard(look.cookie)
        elif look.expires > DUE_AGAIN:
            self._overdue.discard(look.cookie)
            # A timer that goes on as announced is on the heap already.
            if abs(self._announced.get(look.cookie, 0) - t - look.expires) > _JITTER:
                self._schedule(look.cookie, t + look.expires)
        elif look.cookie not in self._overdue:
            self._schedule(look.cookie, t + DUE_AGAIN)
        if known is None or look.differs(known):
            yield SocketSeen(
                t=t,
                since=self._looked_at.get(flow, self._looked_all),
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

    def _gone(self, t: int, cookie: int) -> SocketGone:
        gone = self._known.pop(cookie)
        flow = gone.local, gone.remote
        since = self._looked_at.get(flow, self._looked_all)
        if self._flows.get(flow) == cookie:
            del self._flows[flow]
        self._announced.pop(cookie, None)
        if cookie in self._overdue:
            # The wheel fires all timers of one slot together: look at the others at once.
            self._overdue.discard(cookie)
            for other in self._overdue:
                self._schedule(other, t)
        return SocketGone(
            t=t, since=since, node=self.node, cookie=cookie, state=gone.state, local=gone.local, remote=gone.remote
        )

    def next_timer(self) -> int | None:
        """When the first timer that a look announced is due, on the run's clock."""
        while self._due and self._announced.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: int) -> list[Flow]:
        """The connections one of whose timers is due.

        A kernel timer fires up to an eighth of its length late (kernel/time/timer.c, the timer
        wheel's granularity): what is overdue is looked at in turn, one each jiffy, until one is gone.
        """
        flows = []
        while (first := self.next_timer()) is not None and first <= now:
            _, cookie = heapq.heappop(self._due)
            self._overdue.add(cookie)
            self._schedule(cookie, now + DUE_AGAIN * len(self._overdue))
            flows.append((self._known[cookie].local, self._known[cookie].remote))
        return flows

    def _schedule(self, cookie: int, when: int) -> None:
        self._announced[cookie] = when
        heapq.heappush(self._due, (when, cookie))

    def is_settled(self, flow: Flow) -> bool:
        """Whether neither data nor an acknowledgment can change this connection's state."""
        cookie = self._flows.get(flow)
        return cookie is not None and self._known[cookie].state in _SETTLED

    def flow_of(self, cookie: int) -> Flow | None:
        """The connection of a socket; None where it has not been seen, or is no connection."""
        look = self._known.get(cookie)
        return (look.local, look.remote) if look and look.state is not State.LISTEN else None

    def open_sockets(self) -> list[Look]:
        """What is known to be open."""
        return list(self._known.values())

    def dump(self) -> Iterator[Look]:
        """All TCP sockets of the namespace now.

        Raises:
            DiagError: The kernel refused.
        """
        return self._ask(_EVERYTHING)

    def _ask(self, request: bytes, *, dump: bool = True) -> Iterator[Look]:
        self._socket.send(request)
        while True:
            data = self._socket.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (error,) = struct.unpack_from("<i", data, at + 16)
                    if -error == errno.ENOENT:
                        return  # there is no such connection
                    raise DiagError(f"{self.node}: sock_diag refused: {os.strerror(-error)}")
                # What waits for nothing looks the same next time, but for tcp_info, which alone is no change.
                raw = data[at + 16 : at + _END_OF_MESSAGE]
                look = self._decoded.get(raw) or self._decode(raw, data, at + 16, at + length)
                if look is not None:
                    yield look
                at += (length + 3) & ~3
            if not dump:
                return

    def _decode(self, raw: bytes, data: bytes, at: int, end: int) -> Look | None:
        """Decode an answer, and keep the result where the kernel may give the very same answer again."""
        look = _decode(data, at, end)
        if look is not None and not look.timer:
            if len(self._decoded) >= _MANY:
                self._decoded.clear()
            self._decoded[raw] = look
        return look

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
