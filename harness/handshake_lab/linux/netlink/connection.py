"""Netlink, as little of it as the network needs: messages out, answers in.

pyroute2 could say all this, and did at first. But a test is one kernel's boot and one
import, and importing pyroute2 alone took longer than building a whole network takes here
(benchmarks/network.py has the figures). The part of netlink that is used is small, fixed
for ever by the kernel's promise to user space, and fits on this page.

Many requests go out in one datagram and the kernel answers each; a failure names the
request that failed.

Source: include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Self

from handshake_lab.errors import HandshakeError

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

#: Bytes of requests per datagram: within the default send buffer, and the answers
#: (36 bytes each with CAP_ACK) within the receive buffer asked for below.
_BATCH = 32_768
_BATCH_MESSAGES = 256


class NetlinkError(HandshakeError):
    """The kernel refused a request.

    Args:
        what: The request, in words.
        number: The errno it answered with.
        said: What it said beside it, if anything.
    """

    def __init__(self, what: str, number: int, said: str = "") -> None:
        self.what = what
        self.errno = number
        self.said = said
        super().__init__(f"{what}: {os.strerror(number)}" + (f" ({said})" if said else ""))


class Request:
    """One request: its type and flags, its body, and words for when it fails."""

    __slots__ = ("body", "flags", "kind", "what")

    def __init__(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self.kind = kind
        self.flags = flags
        self.body = body
        self.what = what


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded as netlink wants it."""
    size = 4 + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """A zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A 32-bit number in the machine's order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes | memoryview) -> dict[int, bytes]:
    """Take attributes apart; of two with one type, the last counts."""
    return dict(each_attribute(data))


def each_attribute(data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """The attributes in their order, several of one type included."""
    position = 0
    while position + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, position)
        if size < 4:
            return
        yield kind & _TYPE_MASK, bytes(data[position + 4 : position + size])
        position += (size + 3) & ~3


class Netlink:
    """A netlink socket in the network namespace in which it was made.

    Args:
        family: ``NETLINK_ROUTE`` (0) or ``NETLINK_NETFILTER`` (12).
        groups: What to be told of, unasked (``RTMGRP_LINK``: 1); such a socket is for `told` only.
    """

    def __init__(self, family: int = socket.NETLINK_ROUTE, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        # Answers without a copy of the request.
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
        """Send requests, many at a time, and wait until the kernel has done each.

        Raises:
            NetlinkError: The first that the kernel refused; those behind it in the same
                batch were tried all the same.
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
                    said = attributes(body[20:]).get(_EXTACK_MESSAGE, b"")
                    failure = NetlinkError(batch[sequence - first].what, number, said.rstrip(b"\0").decode())
        if failure is not None:
            raise failure

    def dump(self, kind: int, body: bytes, what: str) -> list[bytes]:
        """Ask for a list of objects.

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

    def told(self, limit: float) -> bool:
        """Wait until there is news, and forget them; False if none came in ``limit`` seconds."""
        self.socket.settimeout(limit)
        try:
            self.socket.recv(1 << 17)
        except TimeoutError:
            return False
        except OSError as error:
            # Too much news to keep is news as well.
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
