"""What one poll of a node's sockets shows, as values.

Parsing does as little as possible, because decoding all fields takes many times as long as the kernel's own
work: an unchanged socket is recognised by its bytes, and of a changed socket only the state is decoded at once.
benchmarks/poll_cost.py compares the cost with that of receiving and discarding the same answers.

Source: include/uapi/linux/inet_diag.h, include/uapi/linux/tcp.h; inet_sk_diag_fill() in net/ipv4/inet_diag.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from handshake_lab.linux.netlink.pyroute2_gaps import find_attribute
from handshake_lab.linux.netlink.sock_diag import (
    INET_DIAG_INFO,
    LAST_TYPE_OF_ENDS,
    QUEUES,
    SOCKET,
    TCP_INFO,
    SockDiag,
    exact_request,
    flow_of,
)
from handshake_lab.recording.observations import SocketTimer, TcpInfo
from handshake_lab.tcp.states import FROM_LINUX, State

if TYPE_CHECKING:
    from handshake_lab.tcp.address import Address, Flow

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
    word: bytes
    ends: bytes
    left: int
    tail: bytes
    details: bytes

    @property
    def flow(self) -> Flow:
        """Both addresses, its own first."""
        return flow_of(self.word[0], self.ends)

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
        return _TIMERS[self.word[2]]

    @property
    def expires(self) -> int:
        """Nanoseconds until that timer expires; the kernel reports whole milliseconds."""
        return self.left * 1_000_000

    @property
    def retrans(self) -> int:
        """The number of retransmissions or probes without an answer."""
        return self.word[3]

    @property
    def rqueue(self) -> int:
        """Bytes that the program has not read; for a listener, connections that it has not accepted."""
        return QUEUES.unpack(self.tail)[0]  # type: ignore[no-any-return]

    @property
    def wqueue(self) -> int:
        """Bytes that are not acknowledged; for a listener, its backlog."""
        return QUEUES.unpack(self.tail)[1]  # type: ignore[no-any-return]

    @property
    def inode(self) -> int:
        """The inode; 0 for a socket that no process holds: a request, an orphan or a mini-socket."""
        return QUEUES.unpack(self.tail)[2]  # type: ignore[no-any-return]

    @property
    def info(self) -> TcpInfo | None:
        """Its tcp_info; None if the answer has none, or a shorter one (a kernel before 4.2)."""
        raw = find_attribute(self.details, INET_DIAG_INFO)
        if len(raw) < TCP_INFO.size:
            return None
        (
            ca_state, retransmits, probes, backoff, rto, unacked, lost, retrans, rtt, snd_cwnd, total_retrans,
            bytes_acked, bytes_received, segs_out, segs_in,
        ) = TCP_INFO.unpack_from(raw)  # fmt: skip
        return TcpInfo(
            ca_state, retransmits, probes, backoff, rto, rtt, unacked, lost, retrans, total_retrans, snd_cwnd,
            bytes_acked, bytes_received, segs_out, segs_in,
        )  # fmt: skip

    @property
    def rto(self) -> int:
        """Its retransmission timeout in microseconds; 0 if the answer has no tcp_info."""
        raw = find_attribute(self.details, INET_DIAG_INFO)
        return TCP_INFO.unpack_from(raw)[4] if len(raw) >= TCP_INFO.size else 0

    def differs(self, other: SocketSnapshot) -> bool:
        """Whether a value that shows the connection's progress has changed."""
        if self.word != other.word:
            return True
        rqueue, wqueue, inode = QUEUES.unpack(self.tail)
        before = QUEUES.unpack(other.tail)
        return (rqueue, wqueue, inode == 0) != (before[0], before[1], before[2] == 0)


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
            if kind <= LAST_TYPE_OF_ENDS:
                break
            snapshot = get(cookie)
            if snapshot is None or snapshot.word != word or snapshot.tail != tail or snapshot.ends != ends:
                state = states[word[1]]
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
