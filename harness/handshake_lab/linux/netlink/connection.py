"""The part of netlink that the network needs: it sends requests and reads the answers.

pyroute2 could do the same. But each test boots a kernel and imports this package, and importing
pyroute2 alone takes longer than building a complete network here (benchmarks/network.py measures
it). The part of netlink that is used is small, and the kernel guarantees its format to user space.

A datagram carries many requests, and the kernel answers each of them. An error names the request
that failed.

Source: include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Self

from handshake_lab.errors import NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REQUEST, ACK, EXCL, CREATE, REPLACE = 1, 4, 0x200, 0x400, 0x100
DUMP = 0x300
ERROR, DONE = 2, 3

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

# Attributes of the extended acknowledgement: NLMSGERR_ATTR_MSG.
_EXTACK_MESSAGE = 1
_SOL_NETLINK, _EXT_ACK, _CAP_ACK = 270, 11, 10

#: Bytes of requests per datagram: they fit into the default send buffer, and the answers
#: (36 bytes each with CAP_ACK) into the receive buffer that is set below.
_BATCH = 32_768
_BATCH_MESSAGES = 256


class Request:
    """One request: its type and flags, its body, and a description for error messages."""

    __slots__ = ("body", "flags", "kind", "what")

    def __init__(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self.kind = kind
        self.flags = flags
        self.body = body
        self.what = what


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded as netlink requires."""
    size = 4 + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that contains attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """A zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A 32-bit number in host byte order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes | memoryview) -> dict[int, bytes]:
    """Parse attributes; if a type occurs twice, the last one is used."""
    return dict(each_attribute(data))


def each_attribute(data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """The attributes in their order; a type may occur several times."""
    position = 0
    while position + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, position)
        if size < 4:
            return
        yield kind & _TYPE_MASK, bytes(data[position + 4 : position + size])
        position += (size + 3) & ~3


class Netlink:
    """A netlink socket in the network namespace in which it was created.

    Args:
        family: ``NETLINK_ROUTE`` (0) or ``NETLINK_NETFILTER`` (12).
        groups: Multicast groups to receive (``RTMGRP_LINK``: 1); use such a socket for `changed` only.
    """

    def __init__(self, family: int = socket.NETLINK_ROUTE, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        # Acknowledgements without a copy of the request.
        self.socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self.socket.bind((0, groups))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def ask(self, requests: Iterable[Request]) -> None:
        """Send requests in batches, and wait until the kernel has processed all of them.

        Raises:
            NetlinkError: The first request that the kernel refused; later requests in the
                same batch were processed nevertheless.
        """
        batch: list[Request] = []
        size = 0
        for request in requests:
            batch.append(request)
            size += _HEADER.size + len(request.body)
            if size >= _BATCH or len(batch) >= _BATCH_MESSAGES:
                self._ask(batch)
                batch, size = [], 0
        if batch:
            self._ask(batch)

    def _ask(self, batch: list[Request]) -> None:
        first = self._sequence + 1
        parts = [self._frame(request, REQUEST | ACK) for request in batch]
        self.socket.send(b"".join(parts))
        failure: NetlinkError | None = None
        waiting = len(batch)
        while waiting:
            for kind, sequence, body in self._receive():
                if kind != ERROR or not first <= sequence < first + len(batch):
                    continue
                waiting -= 1
                number = -int(struct.unpack_from("=i", body)[0])
                if number and failure is None:
                    detail = attributes(body[20:]).get(_EXTACK_MESSAGE, b"")
                    failure = NetlinkError(batch[sequence - first].what, number, detail.rstrip(b"\0").decode())
        if failure is not None:
            raise failure

    def dump(self, kind: int, body: bytes, what: str) -> list[bytes]:
        """Request a list of objects.

        Returns:
            The body of each.

        Raises:
            NetlinkError: The kernel refused.
        """
        request = Request(kind, DUMP, body, what)
        self.socket.send(self._frame(request, REQUEST))
        found: list[bytes] = []
        while True:
            for answered, sequence, answer in self._receive():
                if sequence != self._sequence:
                    continue
                if answered in (ERROR, DONE):
                    number = -int(struct.unpack_from("=i", answer)[0]) if len(answer) >= 4 else 0
                    if number > 0:
                        raise NetlinkError(what, number)
                    return found
                found.append(answer)

    def changed(self, limit: float) -> bool:
        """Wait for a notification and discard all that arrived; False if none arrived within ``limit`` seconds."""
        self.socket.settimeout(limit)
        try:
            self.socket.recv(1 << 17)
        except TimeoutError:
            return False
        except OSError as error:
            # ENOBUFS: notifications were lost, so there were some.
            if error.errno != errno.ENOBUFS:
                raise
        return True

    def _frame(self, request: Request, flags: int) -> bytes:
        self._sequence += 1
        size = _HEADER.size + len(request.body)
        header = _HEADER.pack(size, request.kind, request.flags | flags, self._sequence, 0)
        return header + request.body + b"\0" * (-size % 4)

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self.socket.recv(1 << 17)
        position = 0
        while position + _HEADER.size <= len(data):
            size, kind, _flags, sequence, _port = _HEADER.unpack_from(data, position)
            yield kind, sequence, data[position + _HEADER.size : position + size]
            position += (size + 3) & ~3
