"""The congestion window, slow-start threshold and round-trip time of each socket at each segment that it receives.

The events are in a tracefs instance of their own: however many there are, no state change is lost for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.observers.trace_buffer import Field, TraceBuffer, addresses, parse_format
from handshake_lab.recording.observations import TcpProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from handshake_lab.observers.clock import Clock
    from handshake_lab.tcp.address import Address

EVENT = "tcp/tcp_probe"
#: The event's fields, in the order of the fields of `TcpProbe`.
_VALUES = ("snd_cwnd", "ssthresh", "srtt", "snd_wnd")


class TcpProbes:
    """Observes the open TCP connections of the kernel, of all namespaces.

    Args:
        clock: The run's clock.

    Raises:
        EnvironmentUnsupported: tracefs is not mounted or not accessible, or the kernel does not have the event.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[int, tuple[int, tuple[int, ...], int]] = {}  # cookie of the socket -> when, values, timeout
        self._buffer = TraceBuffer()
        try:
            self._fields = _fields(self._buffer.format(EVENT))
            self._values = [self._fields[name] for name in _VALUES]
            self._buffer.enable(EVENT)
            self._buffer.open()
        except BaseException:
            self._buffer.close()
            raise

    def read(
        self, local: Container[str], timeout: Callable[[Address, Address], int] = lambda _local, _remote: 0
    ) -> Iterator[TcpProbe]:
        """What was reported since the last call; repeated values are omitted.

        Args:
            local: The local IP addresses of the sockets that are observed.
            timeout: Returns the retransmission timeout that a socket has now, in microseconds; 0 if it is unknown.
        """
        for descriptor in self._buffer.descriptors():
            for stamp, record in self._buffer.read(descriptor):
                probe = self._probe(stamp, record, local, timeout)
                if probe is not None:
                    yield probe

    def _probe(
        self, stamp: int, record: bytes, known: Container[str], timeout: Callable[[Address, Address], int]
    ) -> TcpProbe | None:
        local, remote = addresses(self._fields, record)
        if local.ip not in known:
            return None
        t = self._clock.from_monotonic(stamp)
        cookie = self._fields["sock_cookie"].integer(record)
        cwnd, ssthresh, srtt, window = values = tuple(field.integer(record) for field in self._values)
        rto = timeout(local, remote)
        since, before, rto_before = self._last.get(cookie, (0, (), 0))
        self._last[cookie] = t, values, rto
        if (values, rto) == (before, rto_before):
            return None
        return TcpProbe(t, since, local, remote, cwnd, ssthresh, srtt, window, rto)

    def lost(self) -> int:
        """The number of events that the kernel lost."""
        return self._buffer.lost()

    def close(self) -> None:
        """Close the buffers and remove the instance."""
        self._buffer.close()


def _fields(text: str) -> dict[str, Field]:
    """The fields of the event, from its format file."""
    if "sock_cookie" not in text:
        raise EnvironmentUnsupported(
            "the kernel does not report congestion windows (tcp:tcp_probe)", "Use --kernel lab."
        )
    return parse_format(text)[1]
