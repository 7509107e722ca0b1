"""Changes of a node's interfaces and addresses: by DHCP, ``ip addr``, ``ifconfig``, ``ip link add``."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from handshake_lab.linux.netlink import addresses, links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.recording.observations import NetworkChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from handshake_lab.observers.clock import Clock


class Interfaces:
    """Observes the interfaces of one network namespace.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.
        found: Called with the name and the index of each interface that is new.
        moved: Called with the node's addresses when they have changed.
    """

    name = "interfaces"

    def __init__(
        self, node: str, clock: Clock, found: Callable[[str, int], None], moved: Callable[[list[str]], None]
    ) -> None:
        self.node = node
        self._clock = clock
        self._found = found
        self._moved = moved
        self._listening = Netlink(groups=addresses.CHANGES)
        self._listening.socket.setblocking(False)
        self._asking = Netlink()
        self.known = links.indexes(self._asking)
        self.addresses = addresses.addresses(self._asking)

    def descriptors(self) -> Iterable[int]:
        """The socket with the notifications."""
        return (self._listening.socket.fileno(),)

    def read(self, descriptor: int) -> Iterator[NetworkChange]:  # noqa: ARG002  there is only one
        """The changes. Notifications only trigger the comparison."""
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self._listening.socket.recv(1 << 16)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:  # some were lost, so there were some
                        raise
        there = links.indexes(self._asking)
        for name, index in there.items():
            if self.known.get(name) != index:
                self._found(name, index)
        self.known = there
        now = addresses.addresses(self._asking)
        if now != self.addresses:
            self.addresses = now
            self._moved(now)
            yield NetworkChange(t=self._clock.now(), nodes={self.node: now})

    def close(self) -> None:
        """Close the sockets."""
        self._listening.close()
        self._asking.close()
