"""What the scripts of many scenarios do: open a connection, read to its end, wait for a segment's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.expect.timer_windows import seconds, sockets_in
from handshake_lab.recording.observations import SocketSeen
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import RTO_MIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket
    from handshake_lab.recording.history import Endpoint

PORT = 80


class Connection(NamedTuple):
    """Both ends of a connection, and the listener it came to."""

    client: RecordedSocket
    server: RecordedSocket
    listener: RecordedSocket


def open_connection(net: Net) -> Connection:
    """A connection from h1 to h2 with both ends ESTABLISHED."""
    listener = net.h2.listen(PORT)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    return Connection(client, server, listener)


def read_to_end(end: RecordedSocket) -> int:
    """Read until the peer has nothing more to say. Returns how many bytes there were."""
    count = 0
    while chunk := end.recv(65_536):
        count += len(chunk)
    return count


def snapshots(net: Net, history: Endpoint) -> list[SocketSeen]:
    """What sock_diag showed of an endpoint, each time that something had changed."""
    return [
        seen
        for seen in net.observations
        if isinstance(seen, SocketSeen) and seen.observer == "diag" and seen.cookie == history.cookie
    ]


def retransmission_timers(net: Net, name: str) -> tuple[float, float]:
    """When a host's only connection sends a lone segment again, in seconds: as a loss probe at first, then its RTO.

    The probe is due after twice the smoothed round-trip time and the least RTO, for the peer may delay its ACK; or
    at the RTO where that is sooner (tcp_schedule_loss_probe(), net/ipv4/tcp_output.c).
    """
    (info,) = [snapshot.info for snapshot in net[name].sockets() if snapshot.info and snapshot.state != State.LISTEN]
    rtt, rto = info.rtt / 1e6, info.rto / 1e6
    return min(2 * rtt + seconds(RTO_MIN), rto), rto


def errno_of(call: Callable[[], object]) -> int | None:
    """The errno with which a call failed; None where it did not."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def arrived(net: Net, flags: str, receiver: str) -> float:
    """When the last segment with these flags, sent or made up, came to a host: in seconds of the run's clock.

    Raises:
        LookupError: None did.
    """
    times = [
        segment.received
        for segment in net.record().segments
        if (segment.flags, segment.receiver) == (flags, receiver) and segment.received is not None
    ]
    if not times:
        raise LookupError(f"no {flags} came to {receiver}")
    return seconds(times[-1])


def wait_for_socket(net: Net, name: str, state: str) -> None:
    """Wait until a host has a socket in a state that no program may hold yet.

    Raises:
        AssertionError: It never had.
    """
    shown = net.recorder.wait_until(lambda: bool(sockets_in(net.recorder.sockets(name), state)), 600.0)
    assert shown, f"{name} never had a socket in {state}"
