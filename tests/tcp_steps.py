"""Common steps of scenarios: open a connection, read to its end, wait for the effect of a segment."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab import State, seconds, sockets_in
from handshake_lab.recording.observations import SocketSeen
from handshake_lab.tcp.timers import RTO_MIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Endpoint, Net, RecordedSocket

PORT = 80


class Connection(NamedTuple):
    """Both ends of a connection, and its listener."""

    client: RecordedSocket
    server: RecordedSocket
    listener: RecordedSocket


def open_connection(net: Net) -> Connection:
    """A connection from h1 to h2 with both ends ESTABLISHED."""
    listener = net.h2.listen(PORT)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    return Connection(client, server, listener)


def abort(end: RecordedSocket) -> None:
    """Close with SO_LINGER 0: with a RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def read_to_end(end: RecordedSocket) -> int:
    """Read until the peer closes. Return the number of bytes."""
    count = 0
    while chunk := end.recv(65_536):
        count += len(chunk)
    return count


def snapshots(net: Net, history: Endpoint) -> list[SocketSeen]:
    """The observations of an endpoint by sock_diag, one for each change."""
    return [
        seen
        for seen in net.observations
        if isinstance(seen, SocketSeen) and seen.observer == "diag" and seen.cookie == history.cookie
    ]


def retransmission_timers(net: Net, name: str) -> tuple[float, float]:
    """When a host's only connection retransmits a single segment, in seconds: first as a loss probe, then at its RTO.

    The probe is due after twice the smoothed round-trip time plus the minimum RTO, because the peer may delay its ACK;
    or at the RTO if that is sooner (tcp_schedule_loss_probe(), net/ipv4/tcp_output.c).
    """
    (info,) = [snapshot.info for snapshot in net[name].sockets() if snapshot.info and snapshot.state != State.LISTEN]
    rtt, rto = info.rtt / 1e6, info.rto / 1e6
    return min(2 * rtt + seconds(RTO_MIN), rto), rto


def errno_of(call: Callable[[], object]) -> int | None:
    """The errno with which a call failed; None if it did not."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def arrived(net: Net, flags: str, receiver: str) -> float:
    """When the last segment with these flags, sent or crafted, arrived at a host: in seconds of the run's clock.

    Raises:
        LookupError: There is none.
    """
    times = [
        segment.received
        for segment in net.record().segments
        if (segment.flags, segment.receiver) == (flags, receiver) and segment.received is not None
    ]
    if not times:
        raise LookupError(f"no {flags} arrived at {receiver}")
    return seconds(times[-1])


def wait_for_socket(net: Net, name: str, state: str) -> None:
    """Wait until a host has a socket in a state that no program may hold yet.

    Raises:
        AssertionError: It had none.
    """
    shown = net.recorder.wait_until(lambda: bool(sockets_in(net.recorder.sockets(name), state)), 600.0)
    assert shown, f"{name} never had a socket in {state}"
