"""A netlink socket that sends pyroute2's messages, many in one datagram, and waits for the answers.

`handshake_lab.linux.netlink.pyroute2_gaps` explains why this is not one of pyroute2's sockets.

Source: include/uapi/linux/netlink.h; netlink_rcv_skb() in net/netlink/af_netlink.c.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
)

from handshake_lab.errors import NetlinkError
from handshake_lab.linux.netlink.pyroute2_gaps import RouteMarshal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyroute2.netlink import nlmsg

#: The offsets of the flags and the sequence number in a message's header.
_FLAGS, _SEQUENCE = 6, 8
#: Bytes of requests per datagram: they fit into the default send buffer.
_BATCH = 32_768
_BATCH_MESSAGES = 256
_RECEIVE = 1 << 17


class Request(NamedTuple):
    """An encoded request, and a description for error messages."""

    data: bytes
    what: str


def request(message: nlmsg, kind: int, flags: int, what: str) -> Request:
    """Encode a request.

    Args:
        message: Its fields and attributes.
        kind: The type of the message.
        flags: Flags in addition to NLM_F_REQUEST and NLM_F_ACK.
        what: A description for error messages.
    """
    message["header"].update(type=kind, flags=NLM_F_REQUEST | flags)
    message.encode()
    return Request(bytes(message.data), what)


class Netlink:
    """A netlink socket in the network namespace in which it was created.

    Args:
        family: Such as NETLINK_ROUTE.
        groups: Multicast groups to receive, such as RTMGRP_LINK; use such a socket for `changed` only.
    """

    def __init__(self, family: int = NETLINK_ROUTE, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.bind((0, groups))
        self._marshal = RouteMarshal()
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
        for each in requests:
            batch.append(each)
            size += len(each.data)
            if size >= _BATCH or len(batch) >= _BATCH_MESSAGES:
                self._ask(batch)
                batch, size = [], 0
        if batch:
            self._ask(batch)

    def _ask(self, batch: list[Request]) -> None:
        first = self._sequence + 1
        # The kernel answers in order, and reports every error: an acknowledgment of the last request is sufficient.
        datagram = b"".join(self._numbered(each.data, 0 if each is not batch[-1] else NLM_F_ACK) for each in batch)
        self.socket.send(datagram)
        failure: NetlinkError | None = None
        while True:
            for answer in self._receive():
                number = answer["header"]["sequence_number"] - first
                if answer["header"]["type"] != NLMSG_ERROR or not 0 <= number < len(batch):
                    continue
                if answer["error"] and failure is None:
                    detail = answer.get_attr("NLMSGERR_ATTR_MSG") or ""
                    failure = NetlinkError(batch[number].what, -answer["error"], detail)
                if number == len(batch) - 1:
                    if failure is not None:
                        raise failure
                    return

    def dump(self, asked: Request) -> list[Any]:
        """Request a list of objects.

        Returns:
            pyroute2's message for each.

        Raises:
            NetlinkError: The kernel refused.
        """
        self.socket.send(self._numbered(asked.data, NLM_F_DUMP))
        found: list[Any] = []
        while True:
            for answer in self._receive():
                if answer["header"]["sequence_number"] != self._sequence:
                    continue
                if answer["header"]["type"] in (NLMSG_ERROR, NLMSG_DONE):
                    if answer["error"]:
                        raise NetlinkError(asked.what, -answer["error"])
                    return found
                found.append(answer)

    def changed(self, limit: float) -> bool:
        """Wait for a notification and discard all that arrived; False if none arrived within ``limit`` seconds."""
        self.socket.settimeout(limit)
        try:
            while True:
                try:
                    self.socket.recv(_RECEIVE)
                except OSError as error:
                    # ENOBUFS: notifications were lost, so there were some.
                    if error.errno != errno.ENOBUFS:
                        raise
                self.socket.setblocking(False)
        except TimeoutError:
            return False
        except BlockingIOError:
            return True

    def _numbered(self, data: bytes, flags: int) -> bytes:
        """A request with the next sequence number and additional flags."""
        self._sequence += 1
        (given,) = struct.unpack_from("=H", data, _FLAGS)
        return data[:_FLAGS] + struct.pack("=HI", given | flags, self._sequence) + data[_SEQUENCE + 4 :]

    def _receive(self) -> Iterator[Any]:
        return self._marshal.parse(self.socket.recv(_RECEIVE))  # type: ignore[no-any-return]
