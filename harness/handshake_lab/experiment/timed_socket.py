"""Blocking sockets with a time limit, so that no test waits indefinitely for an event that never occurs."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds after which a call on a socket of a host times out: longer than the limits of TCP's handshakes.
DEFAULT_TIMEOUT = 1200.0
#: As a struct timeval.
_TIMEVAL = struct.pack("ll", int(DEFAULT_TIMEOUT), 0)


class TimedSocket(socket.socket):
    """A socket whose blocking calls raise `TimeoutError` after `DEFAULT_TIMEOUT` seconds of the kernel's time.

    The kernel applies the limit (SO_RCVTIMEO, SO_SNDTIMEO); accepted sockets inherit it. Python's timeouts would set
    O_NONBLOCK, and calls would then fail with errors that a blocking descriptor never returns.
    """

    def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, kind, proto, fileno)
        super().setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
        super().setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a method of `socket.socket`."""
        began = time.monotonic()
        try:
            return getattr(super(), name)(*arguments)
        except BlockingIOError as error:
            # At the limit the kernel returns EAGAIN (connect(): EINPROGRESS); without a wait, it was for MSG_DONTWAIT.
            if self.gettimeout() is not None or time.monotonic() - began < DEFAULT_TIMEOUT / 2:
                raise
            raise TimeoutError(f"{name}() timed out after {DEFAULT_TIMEOUT:g} s") from error

    def connect(self, address: Any) -> None:
        """Connect."""
        self._call("connect", address)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as many bytes as fit into the send buffer, and return their number."""
        count: int = self._call("send", data, flags)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of the data."""
        self._call("sendall", data, flags)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """Send to an address."""
        count: int = self._call("sendto", data, *flags_and_address)
        return count

    def sendmsg(self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send several buffers as one."""
        count: int = self._call("sendmsg", buffers, ancdata, flags, address)
        return count

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive up to a number of bytes; ``b""`` after the peer's FIN."""
        data: bytes = self._call("recv", bufsize, flags)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        count: int = self._call("recv_into", buffer, nbytes, flags)
        return count

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive, and return the sender's address too."""
        found: tuple[bytes, Any] = self._call("recvfrom", bufsize, flags)
        return found

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into a buffer, and return the sender's address too."""
        found: tuple[int, Any] = self._call("recvfrom_into", buffer, nbytes, flags)
        return found

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """Receive with ancillary data."""
        found: tuple[bytes, list[Any], int, Any] = self._call("recvmsg", bufsize, ancbufsize, flags)
        return found

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Receive into buffers with ancillary data."""
        found: tuple[int, list[Any], int, Any] = self._call("recvmsg_into", buffers, ancbufsize, flags)
        return found
