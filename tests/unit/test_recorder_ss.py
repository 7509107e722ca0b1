"""What ``ss -H -t -a -n -o -e`` prints, line by line as iproute2 6.1 writes it."""

from __future__ import annotations

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.observers.ss import parse
from handshake_lab.recording.observations import Address, SocketSeen
from handshake_lab.tcp.states import State

SECOND = 1_000_000_000


def only(line: str) -> SocketSeen:
    """The one socket that a line shows."""
    (seen,) = parse(line, 7, "h1")
    return seen


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("ESTAB", State.ESTABLISHED),
        ("SYN-SENT", State.SYN_SENT),
        ("SYN-RECV", State.SYN_RECEIVED),
        ("FIN-WAIT-1", State.FIN_WAIT_1),
        ("FIN-WAIT-2", State.FIN_WAIT_2),
        ("TIME-WAIT", State.TIME_WAIT),
        ("CLOSE-WAIT", State.CLOSE_WAIT),
        ("LAST-ACK", State.LAST_ACK),
        ("LISTEN", State.LISTEN),
        ("CLOSING", State.CLOSING),
    ],
)
def test_every_state_has_its_word(word: str, state: State) -> None:
    """Ss shortens three states and writes the others as RFC 9293 does."""
    assert only(f"{word} 0 0 10.0.0.1:80 10.0.0.2:40000 sk:1").state is state


def test_a_connection_with_everything() -> None:
    """Queues, both ends, the timer with its retransmissions, the inode and the cookie."""
    line = (
        "ESTAB      3      14     10.0.0.1:40000     10.0.0.2:80    "
        "timer:(on,200ms,2) ino:31337 sk:1a2b cgroup:unreachable:1 <->"
    )

    assert only(line) == SocketSeen(
        t=7,
        since=7,
        node="h1",
        cookie=0x1A2B,
        state=State.ESTABLISHED,
        local=Address("10.0.0.1", 40000),
        remote=Address("10.0.0.2", 80),
        observer="ss",
        timer="on",
        expires=SECOND // 5,
        retrans=2,
        inode=31337,
        rqueue=3,
        wqueue=14,
    )


@pytest.mark.parametrize(
    ("text", "kind", "expires"),
    [
        ("timewait,59sec,0", "timewait", 59 * SECOND),
        ("keepalive,119min,0", "keepalive", 119 * 60 * SECOND),
        ("persist,1min13sec,4", "persist", 73 * SECOND),
        ("on,200ms,0", "on", SECOND // 5),
        ("on,1.004ms,0", "on", 1_004_000_000),  # Debian 12: iproute2 6.1
        ("on,1.004sec,0", "on", 1_004_000_000),  # Debian 13: iproute2 6.15
        ("on,8.011ms,0", "on", 8_011_000_000),
        ("on,,0", "on", 0),
        ("unknown,3sec,0", "", 3 * SECOND),
    ],
)
def test_timers(text: str, kind: str, expires: int) -> None:
    """Spans are written in parts; a timer due now has none; a kind of its own is not guessed at."""
    seen = only(f"FIN-WAIT-2 0 0 10.0.0.1:1 10.0.0.2:2 timer:({text}) sk:1")

    assert (seen.timer, seen.expires) == (kind, expires)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[fd00::1]:80", Address("fd00::1", 80)),
        ("[::ffff:10.0.0.1]:80", Address("10.0.0.1", 80)),
        ("[fe80::1]%h1-eth0:80", Address("fe80::1", 80)),
        ("127.0.0.1%lo:80", Address("127.0.0.1", 80)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),  # noqa: S104  what ss prints for any address
        ("[::]:*", Address("::", 0)),
        ("*:80", Address("0.0.0.0", 80)),  # noqa: S104  and for any of either family
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """Brackets, zones and wildcards are ss's; a mapped address is the IPv4 one that the segments carry."""
    assert only(f"LISTEN 0 5 {text} 0.0.0.0:* sk:2").local == address


def test_a_request_and_a_mini_socket_have_no_inode() -> None:
    """No program holds them, and ss prints none."""
    assert only("TIME-WAIT 0 0 10.0.0.1:1 10.0.0.2:2 timer:(timewait,1sec,0) ino:0 sk:3").inode == 0
    assert only("SYN-RECV 0 0 10.0.0.1:1 10.0.0.2:2 timer:(on,1sec,0) sk:4").inode == 0


def test_closed_sockets_and_empty_lines_are_left_out() -> None:
    """UNCONN is a socket without a connection."""
    assert list(parse("\nUNCONN 0 0 10.0.0.1:1 *:*\n\n", 0, "h1")) == []


def test_a_line_of_something_else_is_an_error() -> None:
    """An unknown format must be an error, not an empty list of sockets."""
    with pytest.raises(EnvironmentUnsupported, match="Cannot open netlink"):
        list(parse("Cannot open netlink socket: Protocol not supported", 0, "h1"))
