"""The nodes that a script makes, as the recorder sees them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import EnvironmentUnsupported, NetlinkError
from handshake_lab.linux import netns
from handshake_lab.observers.capture import Capture
from handshake_lab.observers.departures import Departures
from handshake_lab.observers.interfaces import Interfaces
from handshake_lab.recording.observations import NetworkChange

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.recorder import Recorder

#: The interface of connections within one host; it has no queue.
LOOPBACK = "lo"


class ScriptNode:
    """A host of a script, in the network namespace that Mininet made for it.

    Args:
        name: Its name in the script.
        process: Its shell, whose namespace it is.
    """

    interfaces = ()  #: their captures are added as they appear

    def __init__(self, name: str, process: int) -> None:
        self.name = name
        self._space = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.addresses: list[str] = []

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
        self._remarks: list[str] = []  # to be printed by the script's process

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message asks for, and return the answer: remarks to print."""
        match message["about"]:
            case "node":
                self._attach(message["name"], message["process"])
            case "stop":
                for name in message["nodes"]:
                    self._forget(name)
            case "sync":
                self._recorder.sync()
        remarks, self._remarks = self._remarks, []
        return {"remarks": remarks}

    def _attach(self, name: str, process: int) -> None:
        self._forget(name)  # of a network before
        node = self._nodes[name] = ScriptNode(name, process)

        with node.enter():
            departures = self._departures(name)

        def found(interface: str, index: int) -> None:
            with node.enter():
                self._recorder.watch(self._capture(name, interface, index, departures))

        def moved(addresses: list[str]) -> None:
            self._recorder.know_addresses(name, addresses)

        with node.enter():
            interfaces = Interfaces(name, self._clock, found, moved)
            captures = [self._capture(name, *each, departures) for each in interfaces.known.items()]
        node.addresses = list(interfaces.addresses)
        self._recorder.hand_in(NetworkChange(t=self._clock.now(), nodes={name: node.addresses}))
        self._recorder.add(node, interfaces, *captures, *([departures] if departures else []))

    def _departures(self, name: str) -> Departures | None:
        try:
            return Departures(name, self._clock)
        except NetlinkError as error:  # no nfnetlink_log
            self._behind_queues(str(error))
            return None

    def _capture(self, name: str, interface: str, index: int, departures: Departures | None) -> Capture:
        if departures is None or interface == LOOPBACK:
            return Capture(name, interface, self._clock)
        try:
            departures.follow(interface, index)
        except EnvironmentUnsupported as error:  # no egress hook
            self._behind_queues(str(error))
            return Capture(name, interface, self._clock)
        return Capture(name, interface, self._clock, only="received")

    def _behind_queues(self, reason: str) -> None:
        self._remarks.append(
            "segments are captured behind the queues of their senders: what these drop is not shown, and what they "
            f"delay is shown when it leaves them ({reason})"
        )

    def _forget(self, name: str) -> None:
        node = self._nodes.pop(name, None)
        if node is not None:
            self._recorder.forget(name)
            node.close()

    def close(self) -> None:
        """Let go of all nodes, once the recorder has ended."""
        for node in self._nodes.values():
            node.close()
