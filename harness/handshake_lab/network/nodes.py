"""The nodes of a running network: hosts, routers and switches."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from handshake_lab.linux import hostname, netns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from handshake_lab.plan.network_plan import NodePlan, PortPlan


class NetworkNode:
    """A host, a router or a switch.

    Attributes:
        name: Its name in the topology.
        kind: ``"host"``, ``"router"`` or ``"switch"``.
        ports: Its interfaces.
        space: A descriptor of its network namespace; switches share one.
        hostname: A descriptor of the UTS namespace with its name; switches have none.
    """

    def __init__(self, plan: NodePlan, space: int, hostname: int | None = None) -> None:
        self.name = plan.name
        self.kind = plan.kind
        self.ports: list[PortPlan] = plan.ports
        self.addresses: list[str] = plan.addresses
        self.space = space
        self.hostname = hostname

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}{''.join(' ' + ip for ip in self.addresses)}>"

    def enter(self) -> AbstractContextManager[None]:
        """Run the body of the ``with`` block with the calling thread in this node's network namespace.

        A socket stays in the namespace in which it was created.
        """
        return netns.inside(self.space)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in this node.

        Args:
            argv: The program and its arguments.
            options: As for `subprocess.Popen`.
        """
        with self._as_program():
            return subprocess.Popen(argv, **options)

    def run(self, argv: Sequence[str], *, check: bool = True, **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a program in this node and wait for its end; by default its output is returned as text.

        Raises:
            subprocess.CalledProcessError: It failed (unless ``check`` is False).
        """
        options = {"capture_output": True, "text": True, **options}
        with self._as_program():
            return subprocess.run(argv, check=check, **options)

    @contextlib.contextmanager
    def _as_program(self) -> Iterator[None]:
        """Run the body where this node's programs are: in its network namespace, under its host name."""
        with self.enter(), hostname.inside(self.hostname) if self.hostname is not None else contextlib.nullcontext():
            yield


class NetworkHost(NetworkNode):
    """An end host or a router: it has addresses, and sockets can be created in it."""

    @property
    def ip(self) -> str:
        """The address to which the host's name resolves."""
        return self.addresses[0]

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of `ip`."""
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    def socket(self, family: int | None = None, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """An ordinary Python socket in this host; by default TCP of the host's address family."""
        with self.enter():
            return socket.socket(self.family if family is None else family, kind, protocol)


class Interface:
    """One end of a link, with everything that a capture needs: name, namespace, and the node at the other end.

    Attributes:
        name: For example ``s1-eth2``.
        node: The node it belongs to.
        peer: The interface at the other end; `Network` sets it.
    """

    def __init__(self, port: PortPlan, node: NetworkNode) -> None:
        self.name = port.name
        self.index = port.index
        self.mac = port.mac
        self.node = node
        self.peer: Interface

    def __repr__(self) -> str:
        return f"<{self.name} of {self.node.name}, to {self.peer.name}>"
