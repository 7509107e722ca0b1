"""The ports that a host opens: on which a server listens, TCP or UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.linux.udp_sockets import bound_udp_ports
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.experiment.running_program import RunningProgram
    from handshake_lab.plan.program import Listening


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
        self.wanted = f"listen on {wanted}"
        self.missed = f"did not listen on {wanted}"
        recording.recorder.sync()
        self._tcp_before = {each.cookie for each in recording.recorder.sockets(node)}
        self._udp_before = self._udp_sockets()

    def holds(self, program: RunningProgram) -> bool:  # noqa: ARG002  a daemon's child may have opened it
        """Whether the port is open."""
        return self._open()

    def found(self) -> str:
        """The ports that have been opened."""
        return f"{self._node} listens on {self._described()}"

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
