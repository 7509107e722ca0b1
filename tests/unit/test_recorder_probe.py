"""Reports of tcp_probe, from records that are made by hand in the format of Linux 7.3."""

from __future__ import annotations

import socket
import struct

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.observers.tcp_probe import _VALUES, TcpProbes, _fields
from handshake_lab.recording.observations import Address, TcpProbe

#: Only the fields that matter here.
FORMAT = """name: tcp_probe
ID: 300
format:
\tfield:__u8 saddr[28];\toffset:8;\tsize:28;\tsigned:0;
\tfield:__u8 daddr[28];\toffset:36;\tsize:28;\tsigned:0;
\tfield:__u16 sport;\toffset:64;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:66;\tsize:2;\tsigned:0;
\tfield:__u32 snd_cwnd;\toffset:88;\tsize:4;\tsigned:0;
\tfield:__u32 ssthresh;\toffset:92;\tsize:4;\tsigned:0;
\tfield:__u32 snd_wnd;\toffset:96;\tsize:4;\tsigned:0;
\tfield:__u32 srtt;\toffset:100;\tsize:4;\tsigned:0;
\tfield:__u64 sock_cookie;\toffset:112;\tsize:8;\tsigned:0;
"""
HERE, THERE, OTHER = Address("10.0.0.1", 40000), Address("10.0.0.2", 80), Address("10.0.0.2", 81)


class _Still:
    """A clock that does not convert timestamps."""

    def from_monotonic(self, nanoseconds: int) -> int:
        return nanoseconds


class _Buffer:
    """A ring buffer with these events."""

    def __init__(self, *events: tuple[int, bytes]) -> None:
        self.events = events

    def descriptors(self) -> tuple[int, ...]:
        return (7,)

    def read(self, descriptor: int) -> tuple[tuple[int, bytes], ...]:
        assert descriptor == 7
        return self.events


def event(cwnd: int, *, remote: Address = THERE, cookie: int = 7) -> bytes:
    """A record; its struct sockaddr_in6 has an IPv4 address."""

    def sockaddr(address: Address) -> bytes:
        return (
            struct.pack("<H", socket.AF_INET) + struct.pack(">H", address.port) + socket.inet_aton(address.ip)
        ).ljust(28, b"\0")

    record = bytearray(136)
    record[8:64] = sockaddr(HERE) + sockaddr(remote)
    struct.pack_into("<IIII", record, 88, cwnd, 0x7FFFFFFF, 64256, 40113)
    struct.pack_into("<Q", record, 112, cookie)
    return bytes(record)


def watching(*events: tuple[int, bytes]) -> TcpProbes:
    """An observer that reads these events."""
    made = TcpProbes.__new__(TcpProbes)
    made._clock = _Still()  # type: ignore[assignment]
    made._last = {}
    made._fields = _fields(FORMAT)
    made._values = [made._fields[name] for name in _VALUES]
    made._buffer = _Buffer(*events)  # type: ignore[assignment]
    return made


def test_an_event_has_its_values_and_when_they_began() -> None:
    """From the arrival before on, also if that was not worth a report."""
    found = list(watching((5, event(10)), (8, event(10)), (9, event(11))).read({HERE.ip}))

    assert found == [
        TcpProbe(5, 0, HERE, THERE, cwnd=10, ssthresh=0x7FFFFFFF, srtt=40113, window=64256),
        TcpProbe(9, 8, HERE, THERE, cwnd=11, ssthresh=0x7FFFFFFF, srtt=40113, window=64256),
    ]


def test_the_first_report_of_another_socket_is_no_repetition() -> None:
    """Also with the same values, and with the same addresses."""
    found = list(
        watching((5, event(10)), (8, event(10, remote=OTHER, cookie=8)), (9, event(10, cookie=9))).read({HERE.ip})
    )

    assert [(each.t, each.since, each.remote) for each in found] == [(5, 0, THERE), (8, 0, OTHER), (9, 0, THERE)]


def test_sockets_of_others_are_left_out() -> None:
    """The event is of all network namespaces of the kernel."""
    assert list(watching((5, event(10))).read({"192.0.2.1"})) == []


def test_a_kernel_without_the_event_is_refused() -> None:
    """The recording then has no such lines."""
    with pytest.raises(EnvironmentUnsupported, match="does not report"):
        _fields("")


def test_a_timeout_that_changed_is_reported() -> None:
    """It is polled after each segment; a report is omitted only if that is the same, too."""
    timeouts = iter([200_000, 200_000, 204_000])
    found = list(
        watching((5, event(10)), (8, event(10)), (9, event(10))).read({HERE.ip}, lambda *_ends: next(timeouts))
    )

    assert [(each.t, each.since, each.rto) for each in found] == [(5, 0, 200_000), (9, 8, 204_000)]
