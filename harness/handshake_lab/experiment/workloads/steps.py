"""Carrying out steps that are written as text (`handshake_lab.plan.steps`), one after the other."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import UsageError, WaitTimedOut
from handshake_lab.plan import units
from handshake_lab.plan.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket
    from handshake_lab.experiment.timed_socket import TimedSocket

#: Seconds of the kernel's time that a step which waits may take.
LIMIT = 1000.0
_OPTIONS = {
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "reuse": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "user-timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    "receive-buffer": (socket.SOL_SOCKET, socket.SO_RCVBUF),
}


def script(net: Net, argument: Any) -> None:
    """Carry out steps. A system call that fails is on record, and the next step follows."""
    Steps(net).carry_out(msgspec.convert(argument, tuple[Step, ...]))


class Steps:
    """The sockets of a run by host and name, and what can be done with them."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._listeners: dict[tuple[str, str], RecordedSocket] = {}
        self._connections: dict[tuple[str, str], RecordedSocket] = {}
        self._datagrams: dict[str, TimedSocket] = {}
        self._verbs: dict[str, Callable[[Step], None]] = {
            "listen": self._listen,
            "connect": self._connect,
            "accept": self._accept,
            "send": lambda step: self._of(step).sendall(bytes(int(step.target))),
            "read": self._read,
            "shutdown": lambda step: self._of(step).shutdown(socket.SHUT_WR),
            "close": lambda step: self._of(step).close(),
            "abort": self._abort,
            "stop": lambda step: self._listeners[step.host, step.name].close(),
            "set": self._set,
            "udp": self._udp,
            "send-to": self._send_to,
            "receive": lambda step: _ignore(self._datagrams[step.host].recvfrom(65_536)),
            "wait": self._wait,
        }

    def carry_out(self, steps: tuple[Step, ...]) -> None:
        """Carry out steps in their order; what is left open is closed with the run."""
        for step in steps:
            try:
                with contextlib.suppress(OSError):
                    self._verbs[step.verb](step)
            except KeyError:
                raise UsageError(
                    "steps", step.text, "uses a socket that no step has made", "h1 connect h2:80"
                ) from None
        self._net.recorder.checkpoint()

    def _of(self, step: Step) -> RecordedSocket:
        return self._connections[step.host, step.name]

    def _listen(self, step: Step) -> None:
        backlog = int(step.options.get("backlog", "128"))
        self._listeners[step.host, step.name] = self._net[step.host].listen(int(step.target), backlog=backlog)

    def _connect(self, step: Step) -> None:
        name, _, port = step.target.rpartition(":")
        host = self._net[step.host]
        local = int(step.options.get("from", "0"))
        if "begin" in step.options:
            self._connections[step.host, step.name] = host.begin_connect((name, int(port)), port=local)
            return
        made = host.socket()
        self._connections[step.host, step.name] = made
        if local:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host.ip, local))
        if "timeout" in step.options:
            made.settimeout(units.duration("steps", step.options["timeout"]) / 1e9)
        try:
            made.connect((name, int(port)))
        except OSError:
            made.close()

    def _accept(self, step: Step) -> None:
        # One listener serves connections of all names, unless one has the connection's own name.
        listener = self._listeners.get((step.host, step.name)) or self._listeners[step.host, ""]
        self._connections[step.host, step.name] = listener.accept()[0]

    def _read(self, step: Step) -> None:
        connection = self._of(step)
        left = int(step.target) if step.target.isdigit() else None
        while left is None or left > 0:
            data = connection.recv(min(left or 65_536, 65_536))
            if not data:
                return
            left = None if left is None else left - len(data)

    def _abort(self, step: Step) -> None:
        connection = self._of(step)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def _set(self, step: Step) -> None:
        for name, value in step.options.items():
            self._of(step).setsockopt(*_OPTIONS[name], int(value))

    def _udp(self, step: Step) -> None:
        made = self._net[step.host].udp_socket()
        made.bind((self._net[step.host].ip, int(step.target)))
        self._datagrams[step.host] = made

    def _send_to(self, step: Step) -> None:
        address, size = step.target.split()
        name, _, port = address.rpartition(":")
        if step.host not in self._datagrams:
            self._datagrams[step.host] = self._net[step.host].udp_socket()
        self._datagrams[step.host].sendto(bytes(int(size)), self._net.recording.resolve((name, int(port))))

    def _wait(self, step: Step) -> None:
        first, _, state = step.target.partition(" ")
        with contextlib.suppress(WaitTimedOut):  # the record shows what did not happen
            if first == "closed":
                self._net.wait_until_closed(units.duration("steps", state) / 1e9 if state else LIMIT)
            elif state:
                self._net[first].wait_for(state, limit=LIMIT)
            else:
                time.sleep(units.duration("steps", first) / 1e9)
        self._net.recorder.checkpoint()


def _ignore(_: object) -> None:
    """What is received is on record."""
