"""The tracepoints: exact and complete for full sockets; they do not report request sockets and TIME-WAIT."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.observers.trace_buffer import Field, TraceBuffer, addresses, parse_format
from handshake_lab.recording.observations import StateChange, TcpEvent
from handshake_lab.tcp.states import FROM_LINUX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.observers.clock import Clock
    from handshake_lab.recording.observations import Context

STATE_EVENT = "sock/inet_sock_set_state"
#: Further events, if the kernel has them.
OTHER_EVENTS = (
    "tcp/tcp_retransmit_skb",
    "tcp/tcp_retransmit_synack",
    "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset",
    "tcp/tcp_destroy_sock",
    "sock/inet_sk_error_report",
)
#: ``sock:*`` reports all transport protocols; only TCP is recorded. An error of 0 only wakes a program.
_FILTERS = {
    STATE_EVENT: f"protocol == {socket.IPPROTO_TCP}",
    "sock/inet_sk_error_report": f"protocol == {socket.IPPROTO_TCP} && error != 0",
}

#: The reasons for which the kernel discards a segment that has reached a socket (include/net/dropreason-core.h), except
#: those that follow from a call of its program or from another segment.
DROPPED = "kfree_skb"
_DROP_REASONS = frozenset({
    "SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE",
    "TCP_AUTH_HDR", "TCP_AONOTFOUND", "TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE", "TCP_FLAGS",
    "TCP_ZEROWINDOW", "TCP_OVERWINDOW", "TCP_RFC7323_PAWS", "TCP_RFC7323_PAWS_ACK",
    "TCP_RFC7323_TW_PAWS", "TCP_RFC7323_TSECR", "TCP_LISTEN_OVERFLOW", "TCP_OLD_SEQUENCE", "TCP_INVALID_SEQUENCE",
    "TCP_INVALID_END_SEQUENCE", "TCP_INVALID_ACK_SEQUENCE", "TCP_INVALID_SYN", "TCP_OLD_ACK", "TCP_TOO_OLD_ACK",
    "TCP_ACK_UNSENT_DATA", "TCP_OFO_QUEUE_PRUNE", "TCP_OFO_DROP", "TCP_MINTTL",
})  # fmt: skip

#: The reasons for which a router discards a segment that it would forward; they concern no socket.
_ROUTER_REASONS = ("PKT_TOO_BIG",)

#: Of `common_flags`: TRACE_FLAG_HARDIRQ and TRACE_FLAG_SOFTIRQ (include/linux/trace_events.h).
_INTERRUPT = 0x18


@dataclass(frozen=True, slots=True)
class _Layout:
    """The fields of one event, from its format file."""

    name: str
    fields: dict[str, Field]
    reasons: dict[int, str]  #: the names of what its field ``reason`` can hold


_REASONS = re.compile(r"__print_symbolic\(REC->reason,(.*?)\)", re.DOTALL)
_NAMED = re.compile(r'\{ (\d+), "(\w+)" \}')


def parse_reasons(text: str) -> dict[int, str]:
    """The names of the values of an event's field ``reason``, from its tracefs ``format`` file; empty without one."""
    found = _REASONS.search(text)
    return {int(number): name for number, name in _NAMED.findall(found[1])} if found else {}


class Tracepoints:
    """Observes all TCP sockets of the kernel: the events do not contain a namespace.

    Raises:
        EnvironmentUnsupported: tracefs is not mounted, or access to it is not permitted.
    """

    name = "tracepoint"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sockets: dict[int, int] = {}  # kernel address -> number
        self._buffer = TraceBuffer()
        try:
            self._layouts = dict(self._enable())
            self._buffer.open()
        except BaseException:
            self._buffer.close()
            raise

    def _enable(self) -> Iterator[tuple[int, _Layout]]:
        for event in (STATE_EVENT, *OTHER_EVENTS):
            text = self._buffer.format(event)
            if not text:
                continue
            number, fields = parse_format(text)
            self._buffer.enable(event, _FILTERS.get(event, ""))
            yield number, _Layout(event.partition("/")[2], fields, parse_reasons(text))
        yield from self._enable_drops()

    def _enable_drops(self) -> Iterator[tuple[int, _Layout]]:
        """Enable the events of discarded segments, if they contain the socket (since Linux 6.11)."""
        event = f"skb/{DROPPED}"
        text = self._buffer.format(event)
        names = parse_reasons(text)
        wanted = [number for number, name in names.items() if name in _DROP_REASONS]
        if not wanted or "rx_sk" not in text:
            return
        number, fields = parse_format(text)
        reasons = " || ".join(f"reason == {each}" for each in wanted)
        others = "".join(f" || reason == {number}" for number, name in names.items() if name in _ROUTER_REASONS)
        self._buffer.enable(event, f"(rx_sk != 0 && ({reasons})){others}")
        yield number, _Layout(DROPPED, fields, parse_reasons(text))

    def descriptors(self) -> Iterable[int]:
        """One ring buffer for each processor."""
        return self._buffer.descriptors()

    def read(self, descriptor: int) -> Iterator[StateChange | TcpEvent]:
        """All events that were committed to this processor's buffer."""
        for stamp, record in self._buffer.read(descriptor):
            layout = self._layouts.get(int.from_bytes(record[:2], "little"))
            if layout is not None:
                yield self._event(layout, stamp, record)

    def _event(self, layout: _Layout, stamp: int, record: bytes) -> StateChange | TcpEvent:
        fields = layout.fields
        local, remote = addresses(fields, record)
        sk = fields.get("skaddr") or fields.get("rx_sk")
        t = self._clock.from_monotonic(stamp)
        context: Context = "interrupt" if fields["common_flags"].integer(record) & _INTERRUPT else "task"
        if "newstate" in fields:
            return StateChange(
                t=t,
                sk=self._socket(fields["skaddr"].integer(record)),
                old=FROM_LINUX[fields["oldstate"].integer(record)],
                new=FROM_LINUX[fields["newstate"].integer(record)],
                local=local,
                remote=remote,
                pid=fields["common_pid"].integer(record),
                context=context,
            )
        return TcpEvent(
            t=t,
            name=layout.name,
            local=local,
            remote=remote,
            sk=self._socket(sk.integer(record)) if sk else 0,
            cookie=fields["sock_cookie"].integer(record) if "sock_cookie" in fields else 0,
            state=FROM_LINUX.get(fields["state"].integer(record)) if "state" in fields else None,
            context=context,
            reason=_reason(layout, record),
        )

    def lost(self) -> int:
        """The number of events that the kernel lost."""
        return self._buffer.lost()

    def _socket(self, address: int) -> int:
        """A small number for a kernel address, because the addresses differ from run to run."""
        return self._sockets.setdefault(address, len(self._sockets) + 1) if address else 0

    def close(self) -> None:
        """Close the buffers and remove the instance."""
        self._buffer.close()


def _reason(layout: _Layout, record: bytes) -> str:
    if "error" in layout.fields:
        number = layout.fields["error"].integer(record)
        return errno.errorcode.get(number, str(number))
    return layout.reasons.get(layout.fields["reason"].integer(record), "") if "reason" in layout.fields else ""
