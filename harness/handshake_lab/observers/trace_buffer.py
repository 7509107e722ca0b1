"""A tracefs instance of its own: events are enabled in it and read from its raw ring buffers.

The buffer contains nanoseconds and addresses; the text form has microseconds, and no addresses on older
kernels. The format of the buffer is that of kernel/trace/ring_buffer.c. The layout of each event is read from
its ``format`` file, because it differs between releases.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.linux import small_files
from handshake_lab.recording.observations import Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRACEFS = Path("/sys/kernel/tracing")

_COMMIT_MASK = 0xFFFFF  # the upper bits of `commit` are flags (RB_MISSED_EVENTS)
_MISSED = 1 << 31
#: The size of a struct sockaddr_in6, in which newer events have their addresses.
_SOCKADDR = 28


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field of an event is."""

    offset: int
    size: int

    def integer(self, record: bytes) -> int:
        """Its value as an unsigned integer."""
        return int.from_bytes(record[self.offset : self.offset + self.size], "little")

    def raw(self, record: bytes) -> bytes:
        """Its bytes."""
        return record[self.offset : self.offset + self.size]


_LOST = re.compile(r"^(?:overrun|dropped events): (\d+)$", re.MULTILINE)
_FIELD = re.compile(r"field:.*?(\w+)(?:\[[^]]*\])?;\s*offset:(\d+);\s*size:(\d+);")


def parse_format(text: str) -> tuple[int, dict[str, Field]]:
    """The number and the fields of an event, from its tracefs ``format`` file."""
    number = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
    if number is None:
        raise EnvironmentUnsupported("The format file of a trace event has no ID line", "Use --kernel lab.")
    return int(number[1]), {m[1]: Field(int(m[2]), int(m[3])) for m in _FIELD.finditer(text)}


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


class TraceBuffer:
    """A tracefs instance with the ring buffers of its events. Its events are those of all namespaces.

    Raises:
        EnvironmentUnsupported: tracefs is not mounted, or access to it is not permitted.
    """

    def __init__(self) -> None:
        self.missed = 0  #: pages after which the kernel reported lost events
        self._pipes: list[int] = []
        self._statistics: list[Path] = []
        self._instance = TRACEFS / "instances" / f"handshake-{os.getpid()}-{os.urandom(3).hex()}"
        try:
            self._instance.mkdir()
        except OSError as error:
            raise EnvironmentUnsupported(
                f"tracepoints cannot be read: {TRACEFS}/instances: {error.strerror}",
                "Run as root with tracefs mounted (mount -t tracefs tracefs /sys/kernel/tracing).",
            ) from None
        (self._instance / "trace_clock").write_text("mono")
        (self._instance / "buffer_percent").write_text("0")

    def format(self, event: str) -> str:
        """The text of an event's format file; "" if the kernel does not have the event.

        Args:
            event: As in ``sock/inet_sock_set_state``.
        """
        file = self._instance / "events" / event / "format"
        return file.read_text() if file.exists() else ""

    def enable(self, event: str, condition: str = "") -> None:
        """Enable an event, or those for which a condition (of the kernel's filter language) holds."""
        directory = self._instance / "events" / event
        if condition:
            (directory / "filter").write_text(condition)
        (directory / "enable").write_text("1")

    def open(self) -> None:
        """Open the buffer of each processor."""
        processors = sorted(self._instance.glob("per_cpu/cpu*"))
        self._statistics = [cpu / "stats" for cpu in processors]
        self._pipes = [
            os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) for cpu in processors
        ]
        size = self._instance / "buffer_subbuf_size_kb"
        self._page = int(size.read_text()) * 1024 if size.exists() else os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> tuple[int, ...]:
        """One ring buffer for each processor."""
        return tuple(self._pipes)

    def read(self, descriptor: int) -> Iterator[tuple[int, bytes]]:
        """All events that were committed to this processor's buffer: when (CLOCK_MONOTONIC), and their bytes."""
        while True:
            try:
                page = os.read(descriptor, self._page)
            except BlockingIOError:
                return
            if not page:
                return
            if struct.unpack_from("<Q", page, 8)[0] & _MISSED:
                self.missed += 1
            yield from records(page)

    def lost(self) -> int:
        """The number of events that the kernel lost (``per_cpu/*/stats``: overrun, dropped events)."""
        counts = (int(count) for file in self._statistics for count in _LOST.findall(small_files.read(file)))
        return max(sum(counts), self.missed)

    def close(self) -> None:
        """Close the buffers and remove the instance."""
        for pipe in self._pipes:
            os.close(pipe)
        with contextlib.suppress(FileNotFoundError):
            self._instance.rmdir()


def addresses(fields: Mapping[str, Field], record: bytes) -> tuple[Address, Address]:
    """The local and the remote address of an event; empty ones if it has none."""
    if "saddr" not in fields:
        return Address("", 0), Address("", 0)
    if fields["saddr"].size == _SOCKADDR:
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
