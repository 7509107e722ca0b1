"""The segments that a node sends, captured before the queue of the interface, which may delay or drop them.

A capture on an interface contains only frames that have left its queue. If netem is on a host's own interface, as in
Mininet, a capture does not contain the segments that it drops, and contains delayed segments with a later time. A rule
in the egress hook of nftables logs each segment when the kernel passes it to the interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.linux import nftables
from handshake_lab.linux.netlink.packet_log import PacketLog
from handshake_lab.observers.capture import ROOM, SNAP, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.observers.clock import Clock
    from handshake_lab.recording.observations import SegmentSeen

#: The group of nfnetlink_log, and the table with the rules.
_GROUP = 48573
_TABLE = "handshake_departures"
#: All ICMP messages are logged, because there are few; the decoder selects the errors.
_RULE = f"meta l4proto {{ tcp, udp, icmp, ipv6-icmp }} log group {_GROUP} snaplen {SNAP} queue-threshold 1"


class Departures:
    """Observes the segments that one node sends, on the interfaces that `follow` adds.

    Args:
        node: The node. The calling thread must be in its network namespace.
        clock: The run's clock.

    Raises:
        NetlinkError: The kernel has no nfnetlink_log.
    """

    name = "capture"

    def __init__(self, node: str, clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._log = PacketLog(_GROUP, size=SNAP, room=ROOM)
        self._interfaces: dict[int, str] = {}

    def follow(self, interface: str, index: int) -> None:
        """Observe one more interface. The calling thread must be in the node's namespace.

        Raises:
            EnvironmentUnsupported: nft is not installed, or the kernel has no egress hook.
        """
        chain = f"departures_{index}"
        hook = f'type filter hook egress device "{interface}" priority -500;'
        nftables.run_here(f"table netdev {_TABLE} {{\nchain {chain} {{\n{hook}\n{_RULE}\n}}\n}}\n")
        self._interfaces[index] = interface

    def descriptors(self) -> Iterable[int]:
        """The socket with the logged frames."""
        return (self._log.socket.fileno(),)

    def read(self, descriptor: int) -> Iterator[SegmentSeen]:  # noqa: ARG002  there is only one
        """All queued segments, oldest first."""
        for interface, real, frame in self._log.read():
            # Times in the log are whole microseconds. On the lab kernel, the log is read at the time of the event.
            begin = self._clock.from_real(real)
            t = min(max(self._clock.now(), begin), begin + 999)
            found = seen(self.node, self._interfaces[interface], "sent", t, frame)
            if found is not None:
                yield found

    def dropped(self) -> int:
        """How often the kernel has dropped frames since the last call."""
        lost, self._log.lost = self._log.lost, 0
        return lost

    def close(self) -> None:
        """Close the socket. The rules are removed with the namespace."""
        self._log.close()
