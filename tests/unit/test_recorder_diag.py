"""Answers of sock_diag, constructed by include/uapi/linux/inet_diag.h, and their decoding."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import SockDiagError
from handshake_lab.linux.netlink.sock_diag import EVERYTHING, exact_request
from handshake_lab.linux.timer_wheel import JIFFY, first_chance
from handshake_lab.observers.polling import DUE_AGAIN, SocketPoller
from handshake_lab.observers.socket_snapshot import SocketSnapshot, SocketSnapshots
from handshake_lab.recording.observations import Address, SocketGone, SocketSeen, TcpInfo
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

H1, H2 = Address("10.0.0.1", 40000), Address("10.0.0.2", 80)
MS = 1_000_000


def message(
    state: int = 1,
    *,
    family: int = socket.AF_INET,
    timer: int = 0,
    retrans: int = 0,
    expires: int = 0,
    cookie: int = 9,
    inode: int = 55,
    src: str = H1.ip,
    dst: str = H2.ip,
    attributes: bytes = b"",
) -> bytes:
    """A struct inet_diag_msg and the attributes after it."""
    return (
        struct.pack("<BBBB", family, state, timer, retrans)
        + struct.pack(">HH", H1.port, H2.port)
        + socket.inet_pton(family, src).ljust(16, b"\0")
        + socket.inet_pton(family, dst).ljust(16, b"\0")
        + struct.pack("<IQIIIII", 0, cookie, expires, 3, 14, 1000, inode)
        + attributes
    )


def framed(kind: int, body: bytes) -> bytes:
    """A netlink message."""
    return struct.pack("<IHHII", 16 + len(body), kind, 0, 1, 0) + body + b"\0" * (-len(body) % 4)


class Kernel:
    """The other end of a netlink socket: answers a dump with some messages, and an exact request with the first."""

    def __init__(self) -> None:
        self.sockets: tuple[bytes, ...] = ()
        self.each = 100  # messages in one answer
        self._answers: list[bytes] = []

    def send(self, request: bytes) -> None:
        """Accept a request."""
        if struct.unpack_from("<H", request, 6)[0] & 0x300:
            messages = [framed(20, each) for each in self.sockets] + [framed(3, bytes(4))]
            self._answers = [b"".join(messages[at : at + self.each]) for at in range(0, len(messages), self.each)]
        else:
            self._answers = [
                framed(20, self.sockets[0]) if self.sockets else framed(2, struct.pack("<i", -2) + request)
            ]

    def recv(self, room: int) -> bytes:
        """Answer."""
        assert len(self._answers[0]) <= room
        return self._answers.pop(0)

    def close(self) -> None:
        """Close the socket."""


def asked(kernel: Kernel) -> SocketSnapshots:
    """Snapshots that request from that kernel."""
    sockets = SocketSnapshots("h1")
    sockets.close()
    sockets._kernel._socket = kernel  # type: ignore[assignment]
    return sockets


def decoded(data: bytes) -> SocketSnapshot:
    """The snapshot that a message gives."""
    kernel = Kernel()
    kernel.sockets = (data,)
    (snapshot,) = asked(kernel).dump(EVERYTHING, {}).found.values()
    return snapshot


def test_a_socket_with_all_its_fields() -> None:
    """Ports are big-endian, the rest is not; the timer is in milliseconds."""
    snapshot = decoded(message(timer=1, retrans=2, expires=204))

    assert (snapshot.cookie, snapshot.state, snapshot.local, snapshot.remote) == (9, State.ESTABLISHED, H1, H2)
    assert (snapshot.timer, snapshot.expires, snapshot.retrans) == ("on", 204 * MS, 2)
    assert (snapshot.inode, snapshot.rqueue, snapshot.wqueue, snapshot.info) == (55, 3, 14, None)


@pytest.mark.parametrize(
    ("number", "timer"), [(0, ""), (1, "on"), (2, "keepalive"), (3, "timewait"), (4, "persist"), (5, "delack")]
)
def test_timers_by_their_numbers(number: int, timer: str) -> None:
    """As include/uapi/linux/inet_diag.h and inet_sk_diag_fill() number them."""
    assert decoded(message(timer=number)).timer == timer


@pytest.mark.parametrize(
    ("number", "state"), [(2, State.SYN_SENT), (3, State.SYN_RECEIVED), (12, State.SYN_RECEIVED), (6, State.TIME_WAIT)]
)
def test_states_by_their_numbers(number: int, state: State) -> None:
    """TCP_NEW_SYN_RECV (12) is a request, and SYN-RECEIVED to everybody else."""
    assert decoded(message(number)).state is state


@pytest.mark.parametrize("number", [7, 13])
def test_what_is_no_connection_is_left_out(number: int) -> None:
    """A closed socket, and TCP_BOUND_INACTIVE: bound, but neither listening nor connecting."""
    kernel = Kernel()
    kernel.sockets = (message(number), message(1, cookie=10))

    assert asked(kernel).dump(EVERYTHING, {}).found.keys() == {10}


@pytest.mark.parametrize(("ip", "shown"), [("fd00::1", "fd00::1"), ("::ffff:10.0.0.1", "10.0.0.1")])
def test_ipv6_and_mapped_ipv4(ip: str, shown: str) -> None:
    """A socket of AF_INET6 with an IPv4 connection is shown with its IPv4 addresses."""
    assert decoded(message(family=socket.AF_INET6, src=ip, dst="fd00::2")).local.ip == shown


def info(length: int = 232) -> bytes:
    """A tcp_info whose fields all differ, after an attribute of another type."""
    raw = bytes(range(8)) + struct.pack("<24I", *range(100, 124)) + struct.pack("<QQ", 1, 2)
    raw += struct.pack("<QQII", 3, 4, 5, 6)
    raw = raw.ljust(length, b"\0")[:length]
    return struct.pack("<HH", 5, 8) + bytes([10]) * 4 + struct.pack("<HH", 4 + len(raw), 2) + raw


@pytest.mark.parametrize("length", [144, 192, 232, 280])
def test_tcp_info_is_found_behind_another_attribute(length: int) -> None:
    """Its fields are those of struct tcp_info, at their offsets in include/uapi/linux/tcp.h; later kernels add some."""
    assert decoded(message(attributes=info(length))).info == TcpInfo(
        ca_state=1,
        retransmits=2,
        probes=3,
        backoff=4,
        rto=100,
        unacked=104,
        lost=106,
        retrans=107,
        rtt=115,
        snd_cwnd=118,
        total_retrans=123,
        bytes_acked=3,
        bytes_received=4,
        segs_out=5,
        segs_in=6,
    )


def test_a_tcp_info_too_short_is_none() -> None:
    """A kernel before 4.2 has fewer fields; half a tcp_info must not be read as a whole one."""
    assert decoded(message(attributes=info(104))).info is None


class _Still:
    """A clock that is moved by hand, and began when CLOCK_MONOTONIC was at a second."""

    def __init__(self) -> None:
        self.t = 0
        self.virtual = False

    def now(self) -> int:
        return self.t

    def to_monotonic(self, t: int) -> int:
        return t + 1000 * MS


class _Scripted(SocketPoller):
    """A poller with a fake kernel, whose answers the test defines."""

    def __init__(self) -> None:
        self.time = _Still()
        super().__init__("h1", self.time)  # type: ignore[arg-type]  # only what it has is used
        self._sockets.close()
        self.kernel = Kernel()
        self._sockets = asked(self.kernel)

    def at(self, milliseconds: int, *answer: bytes) -> list[SocketSeen | SocketGone]:
        """Poll all sockets at a time."""
        self.time.t = milliseconds * MS
        self.kernel.sockets = answer
        return list(self.poll())


@pytest.fixture
def diag() -> Iterator[_Scripted]:
    """No poll yet."""
    scripted = _Scripted()
    yield scripted
    scripted.close()


def test_what_has_not_changed_is_reported_once(diag: _Scripted) -> None:
    """A second poll without differences yields nothing; a change contains the interval in which it happened."""
    first, again, changed = diag.at(1, message(2)), diag.at(5, message(2)), diag.at(9, message(1))

    assert [(each.t, each.since, each.state) for each in first + again + changed] == [
        (1 * MS, 0, State.SYN_SENT),
        (9 * MS, 5 * MS, State.ESTABLISHED),
    ]


def test_what_is_no_longer_shown_is_gone(diag: _Scripted) -> None:
    """With its last observed state, and the time of that observation."""
    diag.at(1, message(6))
    diag.at(2, message(6))

    assert diag.at(3) == [
        SocketGone(t=3 * MS, since=2 * MS, node="h1", cookie=9, state=State.TIME_WAIT, local=H1, remote=H2)
    ]


def test_another_socket_of_the_same_connection_ends_the_one_before(diag: _Scripted) -> None:
    """If an exact poll shows another cookie, the former socket is gone."""
    diag.at(1, message(6, cookie=9))
    diag.kernel.sockets = (message(2, cookie=10),)
    gone, seen = diag.poll_flow((H1, H2))

    assert (type(gone), gone.cookie, type(seen), seen.cookie) == (SocketGone, 9, SocketSeen, 10)


def test_a_timer_is_due_when_it_was_announced(diag: _Scripted) -> None:
    """And again a jiffy later, until it is observed to have fired."""
    diag.at(0, message(2, timer=1, expires=1000))

    assert diag.next_timer() == 1000 * MS
    assert diag.due(999 * MS) == []
    assert diag.due(1000 * MS) == [(H1, H2)]
    assert diag.next_timer() == 1000 * MS + DUE_AGAIN


def test_a_timer_of_the_lab_kernel_is_due_again_when_it_can_fire(diag: _Scripted) -> None:
    """Two polls before the jiffy in which it fires at the earliest, and then each jiffy."""
    diag.time.virtual = True
    diag.at(0, message(6, timer=3, expires=60_000))
    earliest = first_chance(61_000 * MS - 2 * JIFFY, 60_000 * MS) - 1000 * MS
    diag.due(60_000 * MS)
    again = diag.next_timer()
    assert again is not None
    diag.due(again)

    assert earliest - 2 * DUE_AGAIN < again <= earliest - DUE_AGAIN
    assert diag.next_timer() == again + DUE_AGAIN


def test_a_timer_that_was_stopped_is_not_due(diag: _Scripted) -> None:
    """After the acknowledgment no timer is expected any more."""
    diag.at(0, message(2, timer=1, expires=1000))
    diag.at(50, message(1))

    assert diag.next_timer() is None


def test_data_and_acknowledgments_cannot_change_a_settled_state(diag: _Scripted) -> None:
    """An open connection is not polled after each segment; one that is being opened is."""
    diag.at(0, message(2))
    opening = diag.is_settled((H1, H2))
    diag.at(1, message(1))

    assert (opening, diag.is_settled((H1, H2)), diag.is_settled((H2, H1))) == (False, True, False)


def test_an_exact_request_names_family_and_both_ends() -> None:
    """A struct inet_diag_req_v2 without a cookie."""
    request = exact_request((Address("fd00::1", 1), Address("fd00::2", 2)))

    assert len(request) == 16 + 56
    assert request[16] == socket.AF_INET6
    assert request[24:28] == b"\0\1\0\2"
    assert request[28:60] == socket.inet_pton(socket.AF_INET6, "fd00::1") + socket.inet_pton(socket.AF_INET6, "fd00::2")
    assert request[64:] == b"\xff" * 8


def test_the_kernel_s_refusal_is_an_error() -> None:
    """The kernel answers a request of an unknown kind with EINVAL, not with no sockets."""
    sockets = SocketSnapshots("h1")
    try:
        with pytest.raises(SockDiagError, match="h1: sock_diag refused: Invalid argument"):
            sockets.dump(struct.pack("<IHHII", 20, 20, 1, 1, 0) + b"\x02\x06\0\0", {})
    finally:
        sockets.close()


def test_a_dump_comes_in_several_answers() -> None:
    """Any number of answers, the last without a socket; each is read completely."""
    kernel = Kernel()
    kernel.sockets = tuple(message(cookie=number) for number in range(1, 8))
    found = []
    for kernel.each in (1, 2, 7, 8):
        found.append(list(asked(kernel).dump(EVERYTHING, {}).found))

    assert found == [list(range(1, 8))] * 4


def test_a_dump_tells_what_is_as_it_was() -> None:
    """By its bytes: the same snapshot, with the updated time of its timer."""
    kernel = Kernel()
    sockets = asked(kernel)
    kernel.sockets = (message(6, cookie=1, timer=3, expires=60000), message(1, cookie=2), message(1, cookie=3))
    first = sockets.dump(EVERYTHING, {}).found
    kernel.sockets = (message(6, cookie=1, timer=3, expires=59990), message(1, cookie=2), message(8, cookie=3))
    found, changed, ticking = sockets.dump(EVERYTHING, first)

    assert (found[1] is first[1], found[2] is first[2]) == (True, True)
    assert [(snapshot.cookie, snapshot.expires) for snapshot in ticking] == [(1, 59990 * MS)]
    assert [(snapshot.cookie, snapshot.state) for snapshot in changed.values()] == [(3, State.CLOSE_WAIT)]


def test_a_socket_that_connects_anew_has_another_flow() -> None:
    """connect(AF_UNSPEC), then connect(): the cookie stays, the peer changes."""
    kernel = Kernel()
    sockets = asked(kernel)
    kernel.sockets = (message(2),)
    first = sockets.dump(EVERYTHING, {}).found
    kernel.sockets = (message(2, dst="10.0.0.9"),)

    assert [snapshot.remote.ip for snapshot in sockets.dump(EVERYTHING, first).changed.values()] == ["10.0.0.9"]


def test_a_timer_that_goes_on_as_announced_is_due_when_it_was(diag: _Scripted) -> None:
    """Polls in between neither remove nor delay it; a poll that shows a restarted timer does."""
    diag.at(0, message(2, timer=1, expires=1000))
    diag.at(400, message(2, timer=1, expires=601))
    as_announced = diag.next_timer()
    diag.at(500, message(2, timer=1, expires=2000))

    assert (as_announced, diag.next_timer()) == (1000 * MS, 2500 * MS)
