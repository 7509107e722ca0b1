"""The nodes that a script makes, as the recorder sees them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from handshake_lab.linux import netns
from handshake_lab.observers.capture import Capture
from handshake_lab.observers.interfaces import Interfaces
from handshake_lab.recording.observations import NetworkChange

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.recorder import Recorder


class ScriptNode:
    """A host of a script, in the network namespace that Mininet made for it.

    Args:
        name: Its name in the script.
        process: Its shell, whose namespace it is.
    """

    def __init__(self, name: str, process: int) -> None:
        self.name = name
        self._space = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.addresses: list[str] = []
        self.interfaces: list[str] = []

    def enter(self) -> AbstractContextManager[None]:
        """Run the body of the ``with`` block with the calling thread in its network namespace."""
        return netns.inside(self._space)

    def close(self) -> None:
        """Let go of the namespace."""
        os.close(self._space)


class ScriptNodes:
    """Answers what a script's process reports, and has the recorder observe its nodes.

    Args:
        recorder: The recorder.
        clock: The run's clock.
    """

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._nodes: dict[str, ScriptNode] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message asks for, and return the answer."""
        match message["about"]:
            case "node":
                self._attach(message["name"], message["process"])
            case "stop":
                for name in message["nodes"]:
                    self._forget(name)
            case "sync":
                self._recorder.sync()
        return {}

    def _attach(self, name: str, process: int) -> None:
        self._forget(name)  # of a network before
        node = self._nodes[name] = ScriptNode(name, process)

        def found(interface: str) -> None:
            with node.enter():
                self._recorder.watch(Capture(name, interface, self._clock))

        def moved(addresses: list[str]) -> None:
            self._recorder.know_addresses(name, addresses)

        with node.enter():
            interfaces = Interfaces(name, self._clock, found, moved)
        node.interfaces, node.addresses = list(interfaces.known), list(interfaces.addresses)
        self._recorder.hand_in(NetworkChange(t=self._clock.now(), nodes={name: node.addresses}))
        self._recorder.add(node, interfaces)

    def _forget(self, name: str) -> None:
        node = self._nodes.pop(name, None)
        if node is not None:
            self._recorder.forget(name)
            node.close()

    def close(self) -> None:
        """Let go of all nodes, once the recorder has ended."""
        for node in self._nodes.values():
            node.close()
