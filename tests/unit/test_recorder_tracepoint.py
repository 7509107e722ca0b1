"""The raw ring buffer of a tracepoint, read from pages made by hand after kernel/trace/ring_buffer.c."""

from __future__ import annotations

import socket
import struct

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.observers.trace_buffer import addresses, parse_format, records
from handshake_lab.observers.tracepoint import Tracepoints, _Layout, parse_reasons
from handshake_lab.recording.observations import Address, StateChange
from handshake_lab.tcp.states import State

#: From Linux 6.1, with only the fields that matter here.
FORMAT = """name: inet_sock_set_state
ID: 1403
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;

print fmt: "family=%s", REC->family
"""


def page(stamp: int, *parts: bytes, flags: int = 0) -> bytes:
    """A ring buffer's page of 4 KiB: its time, how much of it is committed, its records."""
    body = b"".join(parts)
    return (struct.pack("<QQ", stamp, len(body) | flags) + body).ljust(4096, b"\xee")


def head(kind: int, delta: int) -> bytes:
    """The first word of a record: 5 bits of type or length, 27 of time."""
    return struct.pack("<I", kind | delta << 5)


def test_records_are_so_long_after_one_another() -> None:
    """A record's type from 1 to 28 is its length in words; its time counts from the record before it."""
    found = list(records(page(1000, head(1, 5) + b"abcd", head(2, 7) + b"efghijkl")))

    assert found == [(1005, b"abcd"), (1012, b"efghijkl")]


def test_a_long_record_tells_its_length_in_a_word_of_its_own() -> None:
    """Type 0: the length follows, itself included, and the next record begins on a word."""
    found = list(records(page(0, head(0, 1) + struct.pack("<I", 4 + 6) + b"abcdef\0\0", head(1, 1) + b"next")))

    assert found == [(1, b"abcdef"), (2, b"next")]


def test_a_time_extend_adds_what_27_bits_cannot_hold() -> None:
    """Type 30 adds its 59 bits to the time."""
    found = list(records(page(10, head(30, 3) + struct.pack("<I", 2), head(1, 1) + b"abcd")))

    assert found == [(10 + (2 << 27) + 3 + 1, b"abcd")]


def test_an_absolute_stamp_keeps_the_page_s_upper_bits() -> None:
    """Type 31 replaces 59 bits of the time; the upper 5 stay those of the page."""
    upper = 3 << 59
    found = list(records(page(upper + 10, head(31, 3) + struct.pack("<I", 2), head(1, 1) + b"abcd")))

    assert found == [(upper + (2 << 27) + 3 + 1, b"abcd")]


def test_discarded_records_take_time_and_room_and_show_nothing() -> None:
    """Type 29 with a time is a record that was filtered out: its length counts what follows the head."""
    found = list(records(page(0, head(29, 4) + struct.pack("<I", 12) + b"\xff" * 8, head(1, 1) + b"abcd")))

    assert found == [(5, b"abcd")]


def test_padding_without_a_time_ends_the_page() -> None:
    """Type 29 without a time fills the rest of the page, whatever it holds."""
    assert list(records(page(0, head(1, 1) + b"abcd", head(29, 0), head(1, 1) + b"junk"))) == [(1, b"abcd")]


def test_nothing_is_read_beyond_what_is_committed() -> None:
    """Data on the page after its committed length is not read."""
    assert list(records(page(0))) == []


@pytest.mark.parametrize("flags", [1 << 31, 3 << 30])
def test_a_page_s_flags_do_not_count_as_its_length(flags: int) -> None:
    """RB_MISSED_EVENTS and RB_MISSED_STORED share a word with the committed length."""
    assert list(records(page(0, head(1, 1) + b"abcd", flags=flags))) == [(1, b"abcd")]


def test_the_format_file_tells_number_and_places() -> None:
    """Fields are identified by name; the brackets of an array do not belong to it."""
    number, fields = parse_format(FORMAT)

    assert (number, fields["oldstate"].offset, fields["saddr_v6"].size) == (1403, 16, 16)
    assert list(fields)[:3] == ["common_type", "common_flags", "common_pid"]


def test_a_file_without_a_number_is_refused() -> None:
    """An event without a number cannot be identified."""
    with pytest.raises(EnvironmentUnsupported, match="no ID line"):
        parse_format("name: inet_sock_set_state\n")


def event(family: int, saddr: bytes = bytes(4), saddr6: bytes = bytes(16)) -> bytes:
    """An inet_sock_set_state record: SYN-SENT to ESTABLISHED, port 40000 to port 80."""
    start = struct.pack("<HHiQiiHHHH", 1403, 0, 77, 0xFFFF888001020304, 2, 1, 40000, 80, family, 6)
    return start + saddr + bytes([10, 0, 0, 2]) + saddr6 + bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 2])


class _Still:
    """A clock that does not convert timestamps."""

    def from_monotonic(self, nanoseconds: int) -> int:
        return nanoseconds


def test_an_event_becomes_a_state_change() -> None:
    """A number for its socket, both states, both ends and the task come from the record."""
    watching = Tracepoints.__new__(Tracepoints)
    watching._clock = _Still()  # type: ignore[assignment]
    watching._sockets = {}
    layout = _Layout("inet_sock_set_state", parse_format(FORMAT)[1], {})

    assert watching._event(layout, 5, event(socket.AF_INET, bytes([10, 0, 0, 1]))) == StateChange(
        t=5,
        sk=1,  # stands for its address, the first that was seen
        old=State.SYN_SENT,
        new=State.ESTABLISHED,
        local=Address("10.0.0.1", 40000),
        remote=Address("10.0.0.2", 80),
        pid=77,
        context="task",
    )


@pytest.mark.parametrize(
    ("flags", "context"),
    [(0x00, "task"), (0x01, "task"), (0x80, "task"), (0x10, "interrupt"), (0x08, "interrupt"), (0x94, "interrupt")],
)
def test_where_the_kernel_was(flags: int, context: str) -> None:
    """Only the bits of a hard or soft interrupt count, not that interrupts or the bottom half were switched off."""
    watching = Tracepoints.__new__(Tracepoints)
    watching._clock = _Still()  # type: ignore[assignment]
    watching._sockets = {}
    record = bytearray(event(socket.AF_INET))
    record[2] = flags

    change = watching._event(_Layout("inet_sock_set_state", parse_format(FORMAT)[1], {}), 5, bytes(record))

    assert change.context == context


#: Only the fields that matter; the format of the reasons in Linux 7.3.
RESET = """name: tcp_send_reset
ID: 296
format:
\tfield:int state;\toffset:24;\tsize:4;\tsigned:1;
\tfield:enum sk_rst_reason reason;\toffset:28;\tsize:4;\tsigned:0;

print fmt: "state=%s reason=%s", REC->state ? __print_symbolic(REC->state, { 1, "TCP_ESTABLISHED" }) : "UNKNOWN", \
__print_symbolic(REC->reason, { 0, "NOT_SPECIFIED" }, { 12, "TCP_ABORT_ON_LINGER" }, { 15, "TCP_KEEPALIVE_TIMEOUT" })
"""


def test_reasons_have_the_kernel_s_names() -> None:
    """Only those of the field ``reason``; a format without one has none."""
    assert parse_reasons(RESET) == {0: "NOT_SPECIFIED", 12: "TCP_ABORT_ON_LINGER", 15: "TCP_KEEPALIVE_TIMEOUT"}
    assert parse_reasons(FORMAT) == {}


@pytest.mark.parametrize(
    ("saddr6", "ip"),
    [
        (socket.inet_pton(socket.AF_INET6, "fd00::1"), "fd00::1"),
        (bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1]), "10.0.0.1"),
    ],
)
def test_an_ipv6_socket_shows_the_address_that_it_talks_with(saddr6: bytes, ip: str) -> None:
    """An address that maps an IPv4 address is shown as that: the segments carry it."""
    local, remote = addresses(parse_format(FORMAT)[1], event(socket.AF_INET6, saddr6=saddr6))

    assert (local, remote) == (Address(ip, 40000), Address("10.0.0.2", 80))


def test_newer_events_carry_whole_socket_addresses() -> None:
    """A struct sockaddr_in6 of either family; without a field sport there is no other place for the port."""
    text = "ID: 7\n\tfield:__u8 saddr[28];\toffset:0;\tsize:28;\tsigned:0;\n"
    text += "\tfield:__u8 daddr[28];\toffset:28;\tsize:28;\tsigned:0;\n"
    four = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 80) + bytes([10, 0, 0, 1])
    six = struct.pack("<H", socket.AF_INET6) + struct.pack(">HI", 443, 0) + socket.inet_pton(socket.AF_INET6, "fd00::2")

    assert addresses(parse_format(text)[1], four.ljust(28, b"\0") + six.ljust(28, b"\0")) == (
        Address("10.0.0.1", 80),
        Address("fd00::2", 443),
    )
