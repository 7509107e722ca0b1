"""The congestion window, slow-start threshold and round-trip time of each socket at each segment that it receives.

The events are in a tracefs instance of their own: however many there are, no state change is lost for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.observers.trace_buffer import Field, TraceBuffer, addresses, parse_format
from handshake_lab.recording.observations import TcpProbe

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from handshake_lab.observers.clock import Clock

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
        self._last: dict[int, tuple[int, tuple[int, ...]]] = {}  # cookie of the socket -> when, and the values
        self._buffer = TraceBuffer()
        try:
            self._fields = _fields(self._buffer.format(EVENT))
            self._values = [self._fields[name] for name in _VALUES]
            self._buffer.enable(EVENT)
            self._buffer.open()
        except BaseException:
            self._buffer.close()
            raise

    def read(self, local: Container[str]) -> Iterator[TcpProbe]:
        """What was reported since the last call, of sockets with these local IP addresses; repeated values omitted."""
        for descriptor in self._buffer.descriptors():
            for stamp, record in self._buffer.read(descriptor):
                probe = self._probe(stamp, record)
                if probe is not None and probe.local.ip in local:
                    yield probe

    def _probe(self, stamp: int, record: bytes) -> TcpProbe | None:
        t = self._clock.from_monotonic(stamp)
        fields = self._fields
        cookie = fields["sock_cookie"].integer(record)
        values = tuple(field.integer(record) for field in self._values)
        since, before = self._last.get(cookie, (0, ()))
        self._last[cookie] = t, values
        if values == before:
            return None
        return TcpProbe(t, since, *addresses(fields, record), *values)

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
