"""The capture: every TCP segment on an interface, from an AF_PACKET socket with kernel timestamps."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Literal

from handshake_lab.linux import packet_socket
from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.tcp.icmp import decode_error
from handshake_lab.tcp.segment import decode
from handshake_lab.tcp.udp import decode_datagram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.observers.clock import Clock

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_PACKET_OTHERHOST = 3

#: How many bytes of a frame are kept: all headers with all options.
SNAP = 192
#: The receive buffer in bytes: at 1,000 connections per second, segments of several seconds.
ROOM = 32 << 20


class Capture:
    """Captures on one interface of one node.

    Args:
        node: The node to which the interface belongs.
        interface: The interface's name. The calling thread must be in that node's
            network namespace.
        clock: The run's clock.
        only: "sent" or "received" to capture one direction only.
        datagrams: Whether to capture UDP, too.
    """

    name = "capture"

    def __init__(
        self,
        node: str,
        interface: str,
        clock: Clock,
        *,
        only: Literal["sent", "received"] | None = None,
        datagrams: bool = False,
    ) -> None:
        self.node = node
        self._interface = interface
        self._clock = clock
        self._only = only
        # Protocol 0 receives nothing: no frame is queued before the filter is attached.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        udp = packet_socket.udp_frames(SNAP) if datagrams else []
        packet_socket.attach(self._socket, [*packet_socket.icmp_errors(SNAP), *udp, *packet_socket.tcp_frames(SNAP)])
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        with contextlib.suppress(PermissionError):  # only root of the initial namespace may exceed net.core.rmem_max
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, ROOM)
        self._socket.bind((interface, _ETH_P_ALL))

    def descriptors(self) -> Iterable[int]:
        """The packet socket."""
        return (self._socket.fileno(),)

    def read(self, descriptor: int) -> Iterator[SegmentSeen]:  # noqa: ARG002  there is only one
        """All queued segments, oldest first."""
        while True:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(SNAP, 64)
            except BlockingIOError:
                return
            except OSError as error:
                # The interface went down; the socket receives again once it is up (packet_notifier, af_packet.c).
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            packet_type = address[2]
            if packet_type == _PACKET_OTHERHOST:
                continue  # flooded by a switch, not for this node
            direction: Literal["sent", "received"] = "sent" if packet_type == packet_socket.OUTGOING else "received"
            if self._only and direction != self._only:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
            t = self._clock.from_real(seconds * 1_000_000_000 + nanoseconds)
            found = seen(self.node, self._interface, direction, t, frame)
            if found is not None:
                yield found

    def dropped(self) -> int:
        """The number of frames that the kernel dropped since the last call (PACKET_STATISTICS)."""
        return packet_socket.overrun(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def seen(node: str, interface: str, direction: Literal["sent", "received"], t: int, frame: bytes) -> SegmentSeen | None:
    """A frame as an observation; None if it is no TCP segment, no UDP datagram and no ICMP error about either.

    Args:
        node: The node that sent or received it.
        interface: The interface it passed.
        direction: Which of both.
        t: When, on the run's clock.
        frame: Its first bytes.
    """
    here = partial(SegmentSeen, t=t, node=node, interface=interface, direction=direction, frame=frame)
    segment = decode(frame)
    if segment is not None:
        return here(
            src=segment.src,
            dst=segment.dst,
            flags=segment.flags,
            seq=segment.seq,
            ack=segment.ack,
            length=segment.length,
            window=segment.window,
        )
    without_flags = partial(here, flags="", ack=0, window=0)
    datagram = decode_datagram(frame)
    if datagram is not None:
        return without_flags(src=datagram.src, dst=datagram.dst, seq=0, length=datagram.length, protocol="UDP")
    about: Literal["TCP", "UDP"] = "TCP"
    error = decode_error(frame)
    if error is None:
        about, error = "UDP", decode_error(frame, "UDP")
    if error is None:
        return None
    return without_flags(src=error.dst, dst=error.src, seq=error.seq, length=0, icmp=error.name, protocol=about)
