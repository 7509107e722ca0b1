"""The nodes that a script creates, and their observers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Literal

from handshake_lab.errors import EnvironmentUnsupported, NetlinkError
from handshake_lab.linux import netns
from handshake_lab.mininet_scripts import script_links
from handshake_lab.observers.capture import Capture
from handshake_lab.observers.departures import Departures
from handshake_lab.observers.interfaces import Interfaces
from handshake_lab.plan.units import show_rate
from handshake_lab.recording.observations import NetworkChange, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.recorder import Recorder

#: The maximum wait for segments in flight before a network is taken down, in seconds of the kernel's time.
_SETTLES = 1.0
#: The interface of connections within one host; it has no queue.
LOOPBACK = "lo"


def _path(process: int) -> str:
    return f"/proc/{process}/ns/net" if process else "/proc/self/ns/net"


@contextlib.contextmanager
def _space(process: int) -> Iterator[int]:
    """A descriptor of a process's network namespace; 0 for the root namespace."""
    descriptor = os.open(_path(process), os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class ScriptNode:
    """A host of a script, in the network namespace that Mininet created for it.

    Args:
        name: Its name in the script.
        process: The number of its shell, which is in the namespace; 0 for the root namespace.
    """

    interfaces = ()  #: their captures are added as they appear

    def __init__(self, name: str, process: int) -> None:
        self.name = name
        self.space = os.open(_path(process), os.O_RDONLY | os.O_CLOEXEC)
        self.root = process == 0
        self.addresses: list[str] = []

    def enter(self) -> AbstractContextManager[None]:
        """Run the body of the ``with`` block with the calling thread in its network namespace."""
        return netns.inside(self.space)

    def close(self) -> None:
        """Close the descriptor of the namespace."""
        os.close(self.space)


class ScriptNodes:
    """Answers the messages of a script's process, and adds its nodes to the recorder.

    Args:
        recorder: The recorder.
        clock: The run's clock.
        rate: Bits per second of links without a rate; 0 for no limit.
        read_line: Waits for the next line of the script's standard input.
    """

    def __init__(self, recorder: Recorder, clock: Clock, rate: int, read_line: Callable[[], str]) -> None:
        self._recorder = recorder
        self._clock = clock
        self._rate = rate
        self._read_line = read_line
        self._nodes: dict[str, ScriptNode] = {}
        self._own: dict[str, set[str]] = {}  # of nodes in the root namespace: their interfaces
        self._links: set[str] = set()  # descriptions of links that are already recorded
        self._remarks: list[str] = []  # to be printed by the script's process

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out a message, and return the answer: remarks to print.

        Raises:
            ScriptLinkNotApplied: A link does not have the settings that the script requested.
        """
        match message["about"]:
            case "node":
                self._attach(message["name"], message["process"])
            case "interface":
                self._own.setdefault(message["node"], set()).add(message["name"])
            case "link":
                with _space(message["process"]) as space:
                    script_links.check(space, message["interface"], message["asked"], message["said"])
            case "links":
                self._describe(message["links"])
                self._recorder.sync()
            case "step":
                self._step(message["node"], message["call"], message["phase"])
            case "line":
                return {"line": self._read_line()}
            case "stop":
                self._settle()
                for name in message["nodes"]:
                    self._forget(name)
        remarks, self._remarks = self._remarks, []
        return {"remarks": remarks}

    def _describe(self, directions: list[dict[str, Any]]) -> None:
        """Limit links that have no rate, and record the impairments of all."""
        lines = []
        for each in directions:
            with _space(each["process"]) as space:
                if self._rate and script_links.limit(space, each["interface"], self._rate):
                    self._remarks.append(
                        f"links without a bandwidth have {show_rate(self._rate)} (--rate): computing takes no virtual "
                        "time, so a transfer without any limit would not end"
                    )
                line = script_links.described(space, each["node"], each["interface"], each["peer"])
            if line and line not in self._links:
                self._links.add(line)
                lines.append(line)
        if lines:
            self._recorder.hand_in(NetworkChange(t=self._clock.now(), links=lines))

    def _step(self, node: str, call: str, phase: Literal["begins", "ends"]) -> None:
        if node in self._nodes:
            self._recorder.hand_in(Step(t=self._clock.now(), node=node, call=call, phase=phase))

    def _settle(self) -> None:
        """Wait until no segments are in flight: those of a network that is taken down would appear lost."""
        self._recorder.wait_until(lambda: not self._queued(), _SETTLES, fresh=False)

    def _queued(self) -> int:
        """The number of packets in the queues of all interfaces, including those of switches."""
        spaces = [node.space for node in self._nodes.values()]
        with _space(0) as root:
            return sum(each.queued for space in (*spaces, root) for each in script_links.root_queues(space))

    def _attach(self, name: str, process: int) -> None:
        self._forget(name)  # a node of this name in an earlier network
        if process == 0 and any(each.root for each in self._nodes.values()):
            return  # another node in the root namespace is observed, and has the same sockets
        node = self._nodes[name] = ScriptNode(name, process)

        with node.enter():
            departures = self._departures(name)

        def wanted(interface: str) -> bool:
            """Whether it is this node's interface: the root namespace also contains those of all switches."""
            return process != 0 or interface == LOOPBACK or interface in self._own.get(name, ())

        def found(interface: str, index: int) -> None:
            if not wanted(interface):
                return
            with node.enter():
                self._recorder.watch(self._capture(name, interface, index, departures))

        def moved(addresses: list[str]) -> None:
            self._recorder.know_addresses(name, addresses)

        with node.enter():
            interfaces = Interfaces(name, self._clock, found, moved)
            captures = [self._capture(name, *each, departures) for each in interfaces.known.items() if wanted(each[0])]
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
            return Capture(name, interface, self._clock, datagrams=True)
        try:
            departures.follow(interface, index)
        except EnvironmentUnsupported as error:  # no egress hook
            self._behind_queues(str(error))
            return Capture(name, interface, self._clock, datagrams=True)
        return Capture(name, interface, self._clock, only="received", datagrams=True)

    def _behind_queues(self, reason: str) -> None:
        self._remarks.append(
            "segments are captured behind the queues of their senders: segments that these drop are not shown, and "
            f"segments that they delay are shown when they leave the queue ({reason})"
        )

    def _forget(self, name: str) -> None:
        node = self._nodes.pop(name, None)
        if node is not None:
            self._recorder.forget(name)
            node.close()

    def close(self) -> None:
        """Close the descriptors of all nodes, after the recorder has ended."""
        for node in self._nodes.values():
            node.close()
