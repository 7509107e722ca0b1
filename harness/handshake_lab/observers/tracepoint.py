"""The tracepoints: exact and complete for full sockets; they do not report request sockets and TIME-WAIT.

Events are read from the raw ring buffer of a separate tracefs instance. It contains nanoseconds and
addresses; the text form has microseconds, and no addresses on older kernels. The format of the buffer
is that of kernel/trace/ring_buffer.c. The layout of each event is read from its ``format`` file,
because it differs between releases.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.linux import small_files
from handshake_lab.recording.observations import Address, StateChange, TcpEvent
from handshake_lab.tcp.states import FROM_LINUX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.observers.clock import Clock
    from handshake_lab.recording.observations import Context

TRACEFS = Path("/sys/kernel/tracing")

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

_COMMIT_MASK = 0xFFFFF  # the upper bits of `commit` are flags (RB_MISSED_EVENTS)
_MISSED = 1 << 31
#: Of `common_flags`: TRACE_FLAG_HARDIRQ and TRACE_FLAG_SOFTIRQ (include/linux/trace_events.h).
_INTERRUPT = 0x18


@dataclass(frozen=True, slots=True)
class _Field:
    offset: int
    size: int

    def integer(self, record: bytes) -> int:
        return int.from_bytes(record[self.offset : self.offset + self.size], "little")

    def raw(self, record: bytes) -> bytes:
        return record[self.offset : self.offset + self.size]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The fields of one event, from its format file."""

    name: str
    fields: dict[str, _Field]
    reasons: dict[int, str]  #: the names of what its field ``reason`` can hold


_LOST = re.compile(r"^(?:overrun|dropped events): (\d+)$", re.MULTILINE)
_FIELD = re.compile(r"field:.*?(\w+)(?:\[[^]]*\])?;\s*offset:(\d+);\s*size:(\d+);")
_REASONS = re.compile(r"__print_symbolic\(REC->reason,(.*?)\)", re.DOTALL)
_NAMED = re.compile(r'\{ (\d+), "(\w+)" \}')


def parse_format(text: str) -> tuple[int, dict[str, _Field]]:
    """The number and the fields of an event, from its tracefs ``format`` file."""
    number = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
    if number is None:
        raise EnvironmentUnsupported("The format file of a trace event has no ID line", "Use --kernel lab.")
    return int(number[1]), {m[1]: _Field(int(m[2]), int(m[3])) for m in _FIELD.finditer(text)}


def parse_reasons(text: str) -> dict[int, str]:
    """The names of the values of an event's field ``reason``, from its tracefs ``format`` file; empty without one."""
    found = _REASONS.search(text)
    return {int(number): name for number, name in _NAMED.findall(found[1])} if found else {}


def records(page: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of one ring-buffer page, as (nanoseconds, bytes from common_type on).

    Layout: kernel/trace/ring_buffer.c, `struct buffer_data_page` and the comment on
    event types in include/linux/ring_buffer.h (5 bits of type or length, 27 of time).
    """
    stamp, commit = struct.unpack_from("<QQ", page)
    end = 16 + (commit & _COMMIT_MASK)
    at = 16
    while at + 4 <= end:
        (head,) = struct.unpack_from("<I", page, at)
        kind, delta = head & 31, head >> 5
        at += 4
        if kind == 31:  # an absolute time: 59 bits; the upper bits are those of the page
            (high,) = struct.unpack_from("<I", page, at)
            stamp = (stamp & ~((1 << 59) - 1)) | ((high << 27) + delta)
            at += 4
        elif kind == 30:  # an extended time since the last record
            (high,) = struct.unpack_from("<I", page, at)
            stamp += (high << 27) + delta
            at += 4
        elif kind == 29:  # padding
            if delta == 0:
                return
            (length,) = struct.unpack_from("<I", page, at)
            stamp += delta
            at += length
        else:
            stamp += delta
            if kind:
                length = kind * 4
            else:
                (length,) = struct.unpack_from("<I", page, at)
                at += 4
                length -= 4
            yield stamp, page[at : at + length]
            at += (length + 3) & ~3


class Tracepoints:
    """Observes all TCP sockets of the kernel: the events do not contain a namespace.

    Raises:
        EnvironmentUnsupported: tracefs is not mounted, or access to it is not permitted.
    """

    name = "tracepoint"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sockets: dict[int, int] = {}  # kernel address -> number
        self.missed = 0  #: pages after which the kernel reported lost events
        self._instance = TRACEFS / "instances" / f"handshake-{os.getpid()}-{os.urandom(3).hex()}"
        try:
            self._instance.mkdir()
        except OSError as error:
            raise EnvironmentUnsupported(
                f"tracepoints cannot be read: {TRACEFS}/instances: {error.strerror}",
                "Run as root with tracefs mounted (mount -t tracefs tracefs /sys/kernel/tracing).",
            ) from None
        try:
            self._layouts = dict(self._enable())
            processors = sorted(self._instance.glob("per_cpu/cpu*"))
            self._statistics = [cpu / "stats" for cpu in processors]
            self._pipes = [
                os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) for cpu in processors
            ]
        except BaseException:
            self._instance.rmdir()
            raise
        self._page = (
            int((self._instance / "buffer_subbuf_size_kb").read_text()) * 1024
            if (self._instance / "buffer_subbuf_size_kb").exists()
            else os.sysconf("SC_PAGE_SIZE")
        )

    def _enable(self) -> Iterator[tuple[int, _Layout]]:
        (self._instance / "trace_clock").write_text("mono")
        (self._instance / "buffer_percent").write_text("0")
        for event in (STATE_EVENT, *OTHER_EVENTS):
            directory = self._instance / "events" / event
            if not directory.exists():
                continue
            text = (directory / "format").read_text()
            number, fields = parse_format(text)
            if event in _FILTERS:
                (directory / "filter").write_text(_FILTERS[event])
            (directory / "enable").write_text("1")
            yield number, _Layout(event.partition("/")[2], fields, parse_reasons(text))
        yield from self._enable_drops()

    def _enable_drops(self) -> Iterator[tuple[int, _Layout]]:
        """Enable the events of discarded segments, if they contain the socket (since Linux 6.11)."""
        directory = self._instance / "events" / "skb" / DROPPED
        text = (directory / "format").read_text() if directory.exists() else ""
        names = parse_reasons(text)
        wanted = [number for number, name in names.items() if name in _DROP_REASONS]
        if not wanted or "rx_sk" not in text:
            return
        number, fields = parse_format(text)
        reasons = " || ".join(f"reason == {each}" for each in wanted)
        others = "".join(f" || reason == {number}" for number, name in names.items() if name in _ROUTER_REASONS)
        (directory / "filter").write_text(f"(rx_sk != 0 && ({reasons})){others}")
        (directory / "enable").write_text("1")
        yield number, _Layout(DROPPED, fields, parse_reasons(text))

    def descriptors(self) -> Iterable[int]:
        """One ring buffer for each processor."""
        return tuple(self._pipes)

    def read(self, descriptor: int) -> Iterator[StateChange | TcpEvent]:
        """All events that were committed to this processor's buffer."""
        while True:
            try:
                page = os.read(descriptor, self._page)
            except BlockingIOError:
                return
            if not page:
                return
            if struct.unpack_from("<Q", page, 8)[0] & _MISSED:
                self.missed += 1
            for stamp, record in records(page):
                layout = self._layouts.get(int.from_bytes(record[:2], "little"))
                if layout is not None:
                    yield self._event(layout, stamp, record)

    def _event(self, layout: _Layout, stamp: int, record: bytes) -> StateChange | TcpEvent:
        fields = layout.fields
        local, remote = _addresses(fields, record)
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
        """The number of events that the kernel lost (``per_cpu/*/stats``: overrun, dropped events)."""
        counts = (int(count) for file in self._statistics for count in _LOST.findall(small_files.read(file)))
        return max(sum(counts), self.missed)

    def _socket(self, address: int) -> int:
        """A small number for a kernel address, because the addresses differ from run to run."""
        return self._sockets.setdefault(address, len(self._sockets) + 1) if address else 0

    def close(self) -> None:
        """Close the buffers and remove the instance."""
        for pipe in self._pipes:
            os.close(pipe)
        with contextlib.suppress(FileNotFoundError):
            self._instance.rmdir()


def _reason(layout: _Layout, record: bytes) -> str:
    if "error" in layout.fields:
        number = layout.fields["error"].integer(record)
        return errno.errorcode.get(number, str(number))
    return layout.reasons.get(layout.fields["reason"].integer(record), "") if "reason" in layout.fields else ""


def _addresses(fields: dict[str, _Field], record: bytes) -> tuple[Address, Address]:
    if "saddr" not in fields:
        return Address("", 0), Address("", 0)
    if "sport" not in fields:  # newer events contain a struct sockaddr_in6
        return _sockaddr(fields["saddr"].raw(record)), _sockaddr(fields["daddr"].raw(record))
    sport, dport = fields["sport"].integer(record), fields["dport"].integer(record)
    if fields["family"].integer(record) == socket.AF_INET6:
        return (
            Address(_ip6(fields["saddr_v6"].raw(record)), sport),
            Address(_ip6(fields["daddr_v6"].raw(record)), dport),
        )
    return (
        Address(socket.inet_ntoa(fields["saddr"].raw(record)), sport),
        Address(socket.inet_ntoa(fields["daddr"].raw(record)), dport),
    )


def _sockaddr(raw: bytes) -> Address:
    family, port = struct.unpack_from("<H", raw)[0], struct.unpack_from(">H", raw, 2)[0]
    if family == socket.AF_INET6:
        return Address(_ip6(raw[8:24]), port)
    return Address(socket.inet_ntoa(raw[4:8]), port)


def _ip6(raw: bytes) -> str:
    """An IPv6 address; an IPv4-mapped address is converted to IPv4."""
    if raw[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntoa(raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)
