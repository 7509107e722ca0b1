"""Frames that nftables rules log to a netlink socket (nfnetlink_log), in the form in which they matched the rule.

Source: include/uapi/linux/netfilter/nfnetlink_log.h, net/netfilter/nfnetlink_log.c.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from pyroute2.netlink import NETLINK_NETFILTER, NLM_F_CREATE, nlmsg
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_ULOG, nfgen_msg

from handshake_lab.linux.netlink.connection import Netlink, request
from handshake_lab.linux.netlink.pyroute2_gaps import LogConfig, find_attribute, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKET, _CONFIG = NFNL_SUBSYS_ULOG << 8, NFNL_SUBSYS_ULOG << 8 | 1
_BIND, _COPY_PACKET = 1, 2
#: Attributes of a frame: NFULA_TIMESTAMP, NFULA_IFINDEX_OUTDEV, NFULA_PAYLOAD.
_TIMESTAMP, _OUTDEV, _PAYLOAD = 3, 5, 9
_HEADER = reader(nlmsg.header, ("length", "type"))
#: Where a message has its attributes.
_ATTRIBUTES = 16 + nfgen_msg.get_size()
_NO_BUFFERS = errno.ENOBUFS


class LoggedFrame(NamedTuple):
    """A frame; ``interface`` is the index of the one that sends it, ``real`` its wall-clock time in whole µs, as ns."""

    interface: int
    real: int
    frame: bytes


class PacketLog:
    """A group of nfnetlink_log in the calling thread's network namespace.

    Args:
        group: Its number, as in ``log group``.
        size: How many bytes of each frame to receive.
        room: The size of the receive buffer in bytes.

    Raises:
        NetlinkError: The kernel has no nfnetlink_log, or the group is taken.
    """

    def __init__(self, group: int, *, size: int, room: int) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)
        self.socket = self._netlink.socket
        self.lost = 0  #: how often the receive buffer was full
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        # Deliver each frame at once, instead of several together.
        mode = ("NFULA_CFG_MODE", {"copy_range": size, "copy_mode": _COPY_PACKET})
        for settings in ([("NFULA_CFG_CMD", _BIND)], [mode, ("NFULA_CFG_QTHRESH", 1)]):
            message = LogConfig()
            message.update(res_id=group, attrs=settings)
            self._netlink.ask([request(message, _CONFIG, NLM_F_CREATE, f"logging to group {group}")])
        self.socket.setblocking(False)

    def read(self) -> Iterator[LoggedFrame]:
        """All queued frames, oldest first."""
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != _NO_BUFFERS:
                    raise
                self.lost += 1
                continue
            position = 0
            while position + _HEADER.size <= len(data):
                size, kind = _HEADER.unpack_from(data, position)
                if kind == _PACKET:
                    yield self._frame(data[position + _ATTRIBUTES : position + size])
                position += (size + 3) & ~3

    @staticmethod
    def _frame(attributes: bytes) -> LoggedFrame:
        seconds, microseconds = struct.unpack(">QQ", find_attribute(attributes, _TIMESTAMP) or bytes(16))
        interface = int.from_bytes(find_attribute(attributes, _OUTDEV), "big")
        real = seconds * 1_000_000_000 + microseconds * 1000
        return LoggedFrame(interface, real, find_attribute(attributes, _PAYLOAD))

    def close(self) -> None:
        """Close the socket; the kernel then removes the group."""
        self._netlink.close()
