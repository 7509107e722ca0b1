"""Waiting until a server listens: on a TCP port, or on a UDP port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import ProgramFailed, WaitTimedOut
from handshake_lab.linux.udp_sockets import bound_udp_ports
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.experiment.running_program import RunningProgram
    from handshake_lab.plan.program import Listening

#: Seconds of the kernel's time that a server may take until it listens.
SERVER_STARTS = 60.0
#: The same for a daemon, once the program that started it has exited with status 0.
DAEMON_STARTS = 1.0
#: Seconds between two polls of UDP ports: the kernel reports no event when one is bound.
_POLL = 0.01


class ServerPorts:
    """The ports that a host has opened since this was created.

    Args:
        recording: The run.
        node: The host.
        wanted: The port on which the server must listen.
    """

    def __init__(self, recording: LiveRecording, node: str, wanted: Listening) -> None:
        self._recording = recording
        self._node = node
        self._wanted = wanted
        recording.recorder.sync()
        self._tcp_before = {each.cookie for each in recording.recorder.sockets(node)}
        self._udp_before = self._udp_sockets()

    def wait_until_open(self, server: RunningProgram) -> None:
        """Wait until the server listens on the port.

        Raises:
            ProgramFailed: The server has ended without listening; the error contains its output.
            WaitTimedOut: It does not listen within `SERVER_STARTS` seconds; the error contains the ports that it has
                opened, and its output.
        """
        now = self._recording.clock.now
        deadline = now() + int(SERVER_STARTS * 1e9)
        fresh = True
        while not self._recording.recorder.wait_until(lambda: self._open() or server.failed, _POLL, fresh=fresh):
            fresh = False
            if server.ended.is_set():
                deadline = min(deadline, now() + int(DAEMON_STARTS * 1e9))
            if now() >= deadline:
                break
        if self._open():
            return
        command = server.spec.command
        if server.ended.is_set():
            reason = f"{server.described()} and did not listen on {self._wanted}"
            raise ProgramFailed(self._node, command, reason, "\n".join(server.last_lines()))
        last = [f"{self._node} listens on {self._described()}", *server.last_lines()]
        raise WaitTimedOut(f"{self._node}: {command!r} to listen on {self._wanted}", SERVER_STARTS, last)

    def _open(self) -> bool:
        found = {"tcp": self._tcp, "udp": self._udp}
        ports = [port for protocol in self._wanted.protocols for port in found[protocol]()]
        return bool(ports) if self._wanted.port == 0 else self._wanted.port in ports

    def _tcp(self) -> list[int]:
        shown = self._recording.recorder.sockets(self._node)
        return [each.local.port for each in shown if each.state is State.LISTEN and each.cookie not in self._tcp_before]

    def _udp(self) -> list[int]:
        return [port for inode, port in self._udp_sockets().items() if inode not in self._udp_before]

    def _udp_sockets(self) -> dict[int, int]:
        with self._recording.network[self._node].enter():
            return bound_udp_ports()

    def _described(self) -> str:
        opened = [*(f"TCP port {port}" for port in self._tcp()), *(f"UDP port {port}" for port in self._udp())]
        return ", ".join(opened) or "no new port"
