"""Frames that rules of nftables log to a netlink socket (nfnetlink_log), each as it passed the rule.

Source: include/uapi/linux/netfilter/nfnetlink_log.h, net/netfilter/nfnetlink_log.c.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.linux.netlink.connection import CREATE, Netlink, Request, attribute, attributes, u32

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETLINK_NETFILTER = 12
_PACKET, _CONFIG = 0x400, 0x401
_CFG_CMD, _CFG_MODE, _CFG_QTHRESH, _BIND, _COPY_PACKET = 1, 2, 5, 1, 2
_TIMESTAMP, _OUTDEV, _PAYLOAD = 3, 5, 9
_HEADER = struct.Struct("=IHHII")
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
        room: Bytes of the receive buffer.

    Raises:
        NetlinkError: The kernel has no nfnetlink_log, or the group is taken.
    """

    def __init__(self, group: int, *, size: int, room: int) -> None:
        self._netlink = Netlink(_NETLINK_NETFILTER)
        self.socket = self._netlink.socket
        self.lost = 0  #: how often the receive buffer was full
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        head = struct.pack("=BBH", socket.AF_UNSPEC, 0, socket.htons(group))
        what = f"logging to group {group}"
        mode = struct.pack(">IBB", size, _COPY_PACKET, 0)
        # Each frame at once, not when several have been gathered.
        settings = attribute(_CFG_MODE, mode) + u32(_CFG_QTHRESH, socket.htonl(1))
        self._netlink.ask([Request(_CONFIG, CREATE, head + attribute(_CFG_CMD, bytes([_BIND])), what)])
        self._netlink.ask([Request(_CONFIG, CREATE, head + settings, what)])
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
                size, kind, *_ = _HEADER.unpack_from(data, position)
                if kind == _PACKET:
                    yield self._frame(attributes(data[position + _HEADER.size + 4 : position + size]))
                position += (size + 3) & ~3

    @staticmethod
    def _frame(found: dict[int, bytes]) -> LoggedFrame:
        seconds, microseconds = struct.unpack(">QQ", found[_TIMESTAMP]) if _TIMESTAMP in found else (0, 0)
        interface = int.from_bytes(found[_OUTDEV], "big")
        return LoggedFrame(interface, seconds * 1_000_000_000 + microseconds * 1000, found[_PAYLOAD])

    def close(self) -> None:
        """Close the socket; the kernel then forgets the group."""
        self._netlink.close()
