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

from pyroute2.netlink import (
    NETLINK_SOCK_DIAG,
    NLM_F_DUMP,
    NLMSG_DONE,
    nlmsgerr,
)
from pyroute2.netlink.diag import SOCK_DIAG_BY_FAMILY, SS_LISTEN, inet_diag_msg, inet_diag_req

from handshake_lab.errors import SockDiagError
from handshake_lab.linux.netlink.connection import request
from handshake_lab.linux.netlink.pyroute2_gaps import OldInetDiagRequest, reader
from handshake_lab.tcp.address import Address, Flow

#: The type of a request for sockets of all families.
_TCPDIAG_GETSOCK = 18
INET_DIAG_INFO = 2
_EXTENSIONS = 1 << (INET_DIAG_INFO - 1)
_NO_COOKIE = 2**64 - 1
#: Bytes of a message's header.
_HEADER = 16
#: A message that ends an answer, be it an error or the end of a dump: the negative errno, 0 for none.
_END = reader((*nlmsgerr.header, *nlmsgerr.fields), ("error",))

#: Messages of this type, or a lower one, end an answer.
LAST_TYPE_OF_ENDS = NLMSG_DONE
#: One socket in an answer, not decoded but for what a comparison needs: the message's length and type; family, state,
#: timer and retransmissions; both ends and the interface; the cookie; milliseconds until the timer expires; the rest
#: of `inet_diag_msg`, which `QUEUES` reads. Attributes follow.
SOCKET = struct.Struct("=IH10x4s40sQI16s")
#: What a socket has at its end: bytes in its queues, and its inode.
QUEUES = reader(inet_diag_msg.fields[-4:], ("idiag_rqueue", "idiag_wqueue", "idiag_inode"))
#: What `handshake_lab.recording.observations.TcpInfo` contains, in the kernel's order.
TCP_INFO = reader(
    inet_diag_msg.tcp_info.fields,
    (
        "tcpi_ca_state",
        "tcpi_retransmits",
        "tcpi_probes",
        "tcpi_backoff",
        "tcpi_rto",
        "tcpi_unacked",
        "tcpi_lost",
        "tcpi_retrans",
        "tcpi_rtt",
        "tcpi_snd_cwnd",
        "tcpi_total_retrans",
        "tcpi_bytes_acked",
        "tcpi_bytes_received",
        "tcpi_segs_out",
        "tcpi_segs_in",
    ),
)
#: The largest answer: netlink_dump() (net/netlink/af_netlink.c) does not exceed it.
_ROOM = 1 << 15


def _dump_request(states: int) -> bytes:
    """A request for all sockets in the given states, of both families, with tcp_info."""
    message = OldInetDiagRequest()
    message.update(idiag_family=socket.AF_UNSPEC, idiag_ext=_EXTENSIONS, idiag_states=states)
    return request(message, _TCPDIAG_GETSOCK, NLM_F_DUMP, "listing the sockets").data


EVERYTHING = _dump_request(0xFFFFFFFF)
#: For this request the kernel does not read the table of connections (net/ipv4/tcp_diag.c, tcp_diag_dump).
LISTENERS = _dump_request(1 << SS_LISTEN)


@lru_cache(4096)
def exact_request(flow: Flow) -> bytes:
    """A request for one connection, with any cookie."""
    local, remote = flow
    message = inet_diag_req()
    message.update(
        sdiag_family=socket.AF_INET6 if ":" in local.ip else socket.AF_INET,
        sdiag_protocol=socket.IPPROTO_TCP,
        idiag_ext=_EXTENSIONS,
        idiag_states=0xFFFFFFFF,
        idiag_sport=local.port,
        idiag_dport=remote.port,
        idiag_src=_words(local.ip),
        idiag_dst=_words(remote.ip),
        idiag_cookie=_NO_COOKIE,
    )
    return request(message, SOCK_DIAG_BY_FAMILY, 0, "reading a socket").data


def _words(ip: str) -> tuple[int, ...]:
    """An address as pyroute2 wants it here: four numbers, of which IPv4 uses the first."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)
    return struct.unpack(">4I", raw.ljust(16, b"\0"))


@lru_cache(8192)
def flow_of(family: int, ends: bytes) -> Flow:
    """Both addresses of a socket, its own first; IPv4 addresses that an IPv6 socket uses are shown as such.

    Args:
        family: Its address family.
        ends: Its ends, as `SOCKET` reads them.
    """
    message = inet_diag_msg(bytes(_HEADER) + bytes((family, 0, 0, 0)) + ends + bytes(28))
    message.decode()
    return (
        Address(message["idiag_src"].removeprefix("::ffff:"), message["idiag_sport"]),
        Address(message["idiag_dst"].removeprefix("::ffff:"), message["idiag_dport"]),
    )


class SockDiag:
    """A netlink socket in the network namespace of the calling thread.

    Args:
        node: Whose namespace it is, for errors.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
        self._socket.bind((0, 0))

    def send(self, data: bytes) -> None:
        """Send a request."""
        self._socket.send(data)

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
        (error,) = _END.unpack_from(data, at)
        if error not in (0, -errno.ENOENT):  # otherwise there is no such connection
            raise SockDiagError(self._node, -error)
        return True

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()
