"""Ordinary Python sockets whose calls are recorded."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import SystemCallFailed
from handshake_lab.experiment.timed_socket import TimedSocket
from handshake_lab.recording.observations import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from handshake_lab.experiment.live_recording import LiveRecording

_SO_COOKIE = 57
_MSG_FASTOPEN = 0x2000_0000
#: A struct sockaddr of family AF_UNSPEC.
_UNSPECIFIED = struct.pack("H14x", socket.AF_UNSPEC)
_libc = ctypes.CDLL(None, use_errno=True)


class RecordedSocket(TimedSocket):
    """A TCP socket of a host: a `socket.socket` whose calls are recorded.

    The beginning and the end of these calls are recorded: connect, connect_ex, sendto and sendmsg with MSG_FASTOPEN,
    listen, accept, shutdown, close and `disconnect`. All variants of send and recv are recorded if they fail, and so is
    an error that SO_ERROR returns.

    Args:
        recording: The run.
        node: The host it was created in.
        family: `socket.AF_INET` or `socket.AF_INET6`.
        fileno: An existing descriptor to use, such as that of an accepted connection.
    """

    def __init__(
        self, recording: LiveRecording, node: str, family: int = socket.AF_INET, fileno: int | None = None
    ) -> None:
        self._recording = recording
        self._node = node
        #: This process's descriptors of this socket; the kernel closes the socket with the last one.
        self._descriptors = [1]
        super().__init__(family, socket.SOCK_STREAM, 0, fileno)
        #: The cookie that identifies this socket in the kernel and in sock_diag (net/core/sock_diag.c).
        self.cookie = int.from_bytes(self.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), "little")
        recording.own(self)

    @property
    def node(self) -> str:
        """The host it was created in."""
        return self._node

    def _report(self, call: str, phase: Literal["begins", "ends"], result: str = "") -> None:
        now = self._recording.clock.now()
        self._recording.report(Step(t=now, node=self._node, call=call, phase=phase, cookie=self.cookie, result=result))

    @contextlib.contextmanager
    def _step(self, call: str) -> Iterator[list[str]]:
        """Record a call; the block appends its result to the list."""
        result: list[str] = []
        self._report(call, "begins")
        try:
            yield result
        except OSError as error:
            result.append(_name(error))
            raise
        finally:
            self._report(call, "ends", result[0] if result else "")

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return super()._call(name, *arguments)
        except OSError as error:
            # connect and accept are recorded by their own methods; a call that would block has not failed.
            if name not in ("connect", "accept") and not isinstance(error, BlockingIOError):
                self._report(name, "ends", _name(error))
            raise

    def connect(self, address: Any) -> None:
        """Connect; the call is recorded."""
        with self._step("connect"):
            super().connect(address)

    def connect_ex(self, address: Any) -> int:
        """Connect; the call is recorded. An error is returned as its number, not raised."""
        with self._step("connect") as result:
            number = super().connect_ex(address)
            if number:
                result.append(errno.errorcode.get(number, str(number)))
        return number

    def disconnect(self) -> None:
        """End the connection with connect() to an address of family AF_UNSPEC (tcp_disconnect(), tcp.c); recorded.

        Raises:
            OSError: The call failed.
        """
        with self._step("connect(AF_UNSPEC)"):
            if _libc.connect(self.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)) != 0:
                raise SystemCallFailed(ctypes.get_errno(), "connect(AF_UNSPEC)")

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """Send to an address; with MSG_FASTOPEN it connects, and is recorded."""
        if len(flags_and_address) == 2 and flags_and_address[0] & _MSG_FASTOPEN:
            with self._step("sendto(MSG_FASTOPEN)"):
                count: int = super()._call("sendto", data, *flags_and_address)
                return count
        return super().sendto(data, *flags_and_address)

    def sendmsg(self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send several buffers as one; with MSG_FASTOPEN it connects, and is recorded."""
        if flags & _MSG_FASTOPEN:
            with self._step("sendmsg(MSG_FASTOPEN)"):
                count: int = super()._call("sendmsg", buffers, ancdata, flags, address)
                return count
        return super().sendmsg(buffers, ancdata, flags, address)

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """Get a socket option; an error that SO_ERROR returns, and thereby clears, is recorded."""
        value = super().getsockopt(level, optname, buflen) if buflen else super().getsockopt(level, optname)
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_ERROR):
            number = value if isinstance(value, int) else int.from_bytes(value, "little")
            if number:
                self._report("getsockopt(SO_ERROR)", "ends", errno.errorcode.get(number, str(number)))
        return value

    def listen(self, backlog: int = 128) -> None:
        """Listen; the call is recorded."""
        with self._step("listen"):
            super().listen(backlog)

    def accept(self) -> tuple[RecordedSocket, Any]:
        """Accept a connection; the call and those of the new socket are recorded. The new socket blocks, too."""
        with self._step("accept") as result:
            plain, address = self._call("accept")
            accepted = RecordedSocket(self._recording, self._node, self.family, plain.detach())
            result.append(str(accepted.cookie))
        return accepted, address

    def dup(self) -> RecordedSocket:
        """Another descriptor of the same socket. The socket is closed, and its close recorded, with the last one."""
        other = RecordedSocket(self._recording, self._node, self.family, os.dup(self.fileno()))
        other._descriptors = self._descriptors
        self._descriptors[0] += 1
        other.settimeout(self.gettimeout())
        return other

    def shutdown(self, how: int) -> None:
        """Shut down one direction or both; the call is recorded."""
        name = {socket.SHUT_RD: "SHUT_RD", socket.SHUT_WR: "SHUT_WR", socket.SHUT_RDWR: "SHUT_RDWR"}.get(how, str(how))
        with self._step(f"shutdown({name})"):
            super().shutdown(how)

    def _real_close(self) -> None:
        """Close the descriptor. close() calls this when all files of makefile() are closed (Lib/socket.py).

        Python's own ssl module overrides it, too.
        """
        if self.fileno() < 0:
            return
        self._descriptors[0] -= 1
        with self._step("close") if self._descriptors[0] == 0 else contextlib.nullcontext():
            super()._real_close()  # type: ignore[misc]


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
