"""What the cases share: one end of a connection is the kernel's, the other is a script, in both directions."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Net, ReceivedSegment, ScriptedPeer
    from handshake_lab.experiment.recorded_socket import RecordedSocket

#: The options of the script's SYN or SYN-ACK, unless a case has its own.
OPTIONS = "mss:1000,sackok,nop,nop,nop,ws:7"


class Established:
    """A connection in ESTABLISHED whose other end is a script.

    Attributes:
        net: The network.
        peer: The script's end.
        socket: The kernel's end.
        side: The role of the kernel's end: "client" or "server".
        opening: The kernel's SYN or SYN-ACK.
    """

    def __init__(self, net: Net, side: str, options: str = OPTIONS, window: int = 65535) -> None:
        self.net = net
        self.side = side
        if side == "server":
            listener = net.h1.listen(80)
            self.peer: ScriptedPeer = net.h2.scripted_peer(40000, to=("h1", 80))
            self.peer.send("S", options=options, window=window)
            self.opening: ReceivedSegment = self.peer.expect("SA", seq=0, ack=1)
            self.peer.send("A", seq=1, window=window)
            self.socket: RecordedSocket = listener.accept()[0]
        else:
            self.peer = net.h2.scripted_peer(80)
            self.socket = net.h1.begin_connect(("h2", 80))
            self.opening = self.peer.expect("S", seq=0)
            self.peer.send("SA", options=options, window=window)
            self.peer.expect("A", seq=1, ack=1)
            net.wait_for_state(self.socket, "ESTABLISHED")

    def kernel_since(self, major: int, minor: int) -> bool:
        """Whether the kernel under test is of this version of Linux, or of a later one."""
        version = self.net.kernel.release.split(".")
        return (int(version[0]), int(version[1])) >= (major, minor)

    def close_window(self) -> None:
        """Announce a window of zero with a segment that every kernel believes: one with a later number."""
        self.peer.send("PA", seq=1, payload="x")
        self.peer.send("A", seq=2, ack=1, window=0)
        self.net.sleep(0.06)
        self.quiet()

    @property
    def state(self) -> str:
        """The state of the kernel's end; "" once it is gone."""
        found = [each for each in self.net.h1.sockets() if each.cookie == self.socket.cookie]
        return str(found[0].state) if found else ""

    def states(self) -> list[str]:
        """The states of all of the host's connections, without listeners."""
        return sorted(str(each.state) for each in self.net.h1.sockets() if each.state != "LISTEN")

    def quiet(self) -> None:
        """Let everything that is due at once arrive, and forget it."""
        with contextlib.suppress(Exception):
            while True:
                self.peer.receive(0.001)


@pytest.fixture(params=["client", "server"])
def establish(net: Net, request: pytest.FixtureRequest) -> Callable[..., Established]:
    """Open a connection, with the kernel as client and as server: ``establish(options="mss:500")``."""
    side: str = request.param
    return lambda **named: Established(net, side, **named)


@pytest.fixture
def end(establish: Callable[..., Established]) -> Established:
    """A connection with the usual options, in both directions."""
    return establish()


@pytest.fixture
def error() -> Callable[[RecordedSocket], int]:
    """The error that a socket holds, or gets within 10 ms."""

    def pending(of: RecordedSocket) -> int:
        waiting = select.poll()
        waiting.register(of.fileno(), 0)  # errors are always reported
        waiting.poll(10)
        return int(of.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    return pending
