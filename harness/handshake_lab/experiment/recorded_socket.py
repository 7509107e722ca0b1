"""Ordinary Python sockets whose calls are put on record."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

from handshake_lab.recording.observations import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SO_COOKIE = 57


class RecordedSocket(socket.socket):
    """A TCP socket of a host. It does what `socket.socket` does, and says what was called and when.

    Args:
        node: The host it was created in.
        report: Takes each step.
        now: The run's clock.
        own: Takes every socket that this one accepts, to close it at the end.
        family: `socket.AF_INET` or `socket.AF_INET6`.
        fileno: A descriptor to wrap, as `socket.accept` makes.
    """

    def __init__(
        self,
        node: str,
        report: Callable[[Step], None],
        now: Callable[[], int],
        own: Callable[[RecordedSocket], None],
        family: int = socket.AF_INET,
        fileno: int | None = None,
    ) -> None:
        self._node = node
        self._report = report
        self._now = now
        self._own = own
        super().__init__(family, socket.SOCK_STREAM, 0, fileno)
        #: The kernel's name for this socket, the same in sock_diag (net/core/sock_diag.c).
        self.cookie = int.from_bytes(self.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), "little")

    @contextlib.contextmanager
    def _step(self, call: str) -> Iterator[list[str]]:
        result: list[str] = []
        self._report(Step(t=self._now(), node=self._node, call=call, phase="begins", cookie=self.cookie))
        try:
            yield result
        except OSError as error:
            result.append(errno.errorcode.get(error.errno or 0, type(error).__name__))
            raise
        finally:
            text = result[0] if result else ""
            self._report(Step(t=self._now(), node=self._node, call=call, phase="ends", cookie=self.cookie, result=text))

    def connect(self, address: Any) -> None:
        """Connect, on record."""
        with self._step("connect"):
            super().connect(address)

    def listen(self, backlog: int = 128) -> None:
        """Listen, on record."""
        with self._step("listen"):
            super().listen(backlog)

    def accept(self) -> tuple[RecordedSocket, Any]:
        """Accept a connection, on record; the new socket is recorded too."""
        with self._step("accept") as result:
            plain, address = super().accept()
            accepted = RecordedSocket(self._node, self._report, self._now, self._own, self.family, plain.detach())
            self._own(accepted)
            accepted.settimeout(self.gettimeout())
            result.append(str(accepted.cookie))
        return accepted, address

    def shutdown(self, how: int) -> None:
        """Shut one direction or both down, on record."""
        name = {socket.SHUT_RD: "SHUT_RD", socket.SHUT_WR: "SHUT_WR", socket.SHUT_RDWR: "SHUT_RDWR"}[how]
        with self._step(f"shutdown({name})"):
            super().shutdown(how)

    def close(self) -> None:
        """Close, on record; closing twice does nothing, as ever."""
        if self.fileno() < 0:
            return
        with self._step("close"):
            super().close()
