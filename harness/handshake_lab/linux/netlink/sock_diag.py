"""sock_diag: requests for the kernel's TCP sockets, and the format of its answers.

There are two kinds of request. A *dump* returns every socket; its cost grows with their number. An *exact*
request returns one connection; its cost does not depend on the number of sockets. Dumps use the old
request TCPDIAG_GETSOCK, which returns IPv4 and IPv6 sockets together (net/ipv4/inet_diag.c, inet_diag_dump_compat).

Source: include/uapi/linux/inet_diag.h; inet_sk_diag_fill() and similar functions in net/ipv4/inet_diag.c.
"""

from __future__ import annotations

import errno
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from handshake_lab.errors import SockDiagError
from handshake_lab.linux.netlink.connection import ERROR

if TYPE_CHECKING:
    from handshake_lab.tcp.address import Flow

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 0x1
_NLM_F_REQUEST_DUMP = 0x301
INET_DIAG_INFO = 2

_HEADER = struct.Struct("<IHHII")
#: A message's length and type; then a struct inet_diag_msg: family, state, timer and retransmissions in
#: one word; both addresses with the interface; cookie, milliseconds until the timer expires, queues, owner, inode.
SOCKET = struct.Struct("<IH10xI40sQI16s")
#: The largest answer: netlink_dump() (net/netlink/af_netlink.c) does not exceed it.
_ROOM = 1 << 15


def _dump_request(states: int) -> bytes:
    """An inet_diag_req for all sockets in the given states, of both families, with tcp_info."""
    extensions = 1 << (INET_DIAG_INFO - 1)
    body = struct.pack("<BBBB48xII", socket.AF_UNSPEC, 0, 0, extensions, states, 0)
    return _HEADER.pack(_HEADER.size + len(body), _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, 1, 0) + body


EVERYTHING = _dump_request(0xFFFFFFFF)
#: For this request the kernel does not read the table of connections (net/ipv4/tcp_diag.c, tcp_diag_dump).
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
        1 << (INET_DIAG_INFO - 1),
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

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.send(request)

    def receive(self) -> bytes:
        """Wait for the next answer: one or more messages."""
        return self._socket.recv(_ROOM)

    def is_over(self, data: bytes, at: int) -> bool:
        """Whether an answer was the last one of its request.

        Args:
            data: The answer.
            at: The place after its last socket.

        Raises:
            SockDiagError: The kernel refused.
        """
        if at >= len(data):
            return False
        _, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == ERROR:
            (number,) = struct.unpack_from("<i", data, at + _HEADER.size)
            if -number != errno.ENOENT:  # otherwise there is no such connection
                raise SockDiagError(self._node, -number)
        return True

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()
