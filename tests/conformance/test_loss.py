"""Loss: when and what is sent again, how the window grows and shrinks, what probes a closed window.

Subjects of packetdrill's gtests/net/tcp (fast_retransmit, fast_recovery, limited_transmit, slow_start, user_timeout,
zero_window) and of gVisor's packetimpact (tcp_retransmits, tcp_rack, tcp_zero_window_probe, tcp_user_timeout).
"""

from __future__ import annotations

import errno
import itertools
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.conftest import Established
    from handshake_lab import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket

_USER_TIMEOUT = 18  # TCP_USER_TIMEOUT


def times(end: Established, count: int) -> list[float]:
    """When the next segments arrive, in seconds after the first."""
    found = [end.peer.receive().time for _ in range(count)]
    return [(each - found[0]) / 1e9 for each in found]


def arrived(end: Established) -> list[int]:
    """The numbers of the segments that arrive at once, before a probe of the tail could (RFC 8985, 7.2)."""
    end.net.sleep(0.001)
    found = [each.seq for each in end.peer.received]
    for _ in found:
        end.peer.receive(0)
    return found


def test_the_timer_doubles(end: Established) -> None:
    """Each retransmission waits twice as long (RFC 6298, 5.5). packetimpact: tcp_retransmits; packetdrill: rto."""
    end.socket.sendall(b"abc")
    seen = times(end, 6)
    waits = [later - earlier for earlier, later in itertools.pairwise(seen)]

    # The second is the tail loss probe or the first retransmission; from then on, they double.
    assert all(1.8 < after / before < 2.2 for before, after in itertools.pairwise(waits[1:])), waits


def test_an_acknowledgment_stops_the_timer(end: Established) -> None:
    """Nothing is sent again (RFC 6298, 5.2)."""
    end.socket.sendall(b"abc")
    end.peer.expect("PA")
    end.peer.send("A", seq=1, ack=4)
    end.peer.expect_nothing(10)


def test_three_duplicate_acks(establish: Callable[..., Established]) -> None:
    """The first segment is sent again before its timer expires (RFC 5681, 3.2). packetdrill: fast_retransmit."""
    end = establish(options="mss:1000")
    end.socket.sendall(bytes(8000))
    assert [end.peer.receive(0.01).seq for _ in range(8)] == list(range(1, 8000, 1000))
    # To a client the first one also tells a window, after that of the SYN-ACK: it does not count.
    for _ in range(4 if end.side == "client" else 3):
        end.peer.send("A", seq=1, ack=1)
    end.peer.expect("A", seq=1, length=1000, within=0.05)


def test_sack_blocks_name_what_is_missing(end: Established) -> None:
    """Only the hole is sent again (RFC 6675). packetdrill: fast_recovery, sack."""
    end.socket.sendall(bytes(8000))
    for _ in range(8):
        end.peer.receive(0.01)
    base = (end.peer.remote_isn or 0) + 1
    end.peer.send("A", seq=1, ack=1, options=f"nop,nop,sack:{base + 1000}-{base + 8000}")
    end.peer.expect("A", seq=1, length=1000, within=0.05)
    end.peer.send("A", seq=1, ack=8001)
    end.peer.expect_nothing(3)


def test_limited_transmit(establish: Callable[..., Established]) -> None:
    """The first duplicate ACKs let new segments go (RFC 3042). packetdrill: limited_transmit."""
    end = establish(options="mss:1000")
    end.peer.send("A", seq=1, ack=1)  # tells the window, so that the next ones tell nothing
    end.socket.sendall(bytes(20_000))
    assert arrived(end)[-1] == 9001
    for number in (10_001, 11_001):
        end.peer.send("A", seq=1, ack=1)
        assert arrived(end) == [number]


def test_the_initial_window(end: Established) -> None:
    """Ten segments, then silence until an acknowledgment (RFC 6928). packetdrill: slow_start."""
    end.socket.sendall(bytes(40_000))

    assert arrived(end) == list(range(1, 10_000, 1000))


def test_slow_start(end: Established) -> None:
    """An acknowledgment of ten segments lets twenty go (RFC 5681, 3.1). packetdrill: slow_start."""
    end.socket.sendall(bytes(60_000))
    assert len(arrived(end)) == 10
    end.peer.send("A", seq=1, ack=10_001)

    assert len(arrived(end)) == 20


def test_a_timeout_shrinks_the_window(end: Established) -> None:
    """After the timer expires, one segment is sent (RFC 5681, 3.1, loss window). packetdrill: rto."""
    end.socket.sendall(bytes(10_000))
    for _ in range(10):
        end.peer.receive(0.01)
    end.net.sleep(0.1)
    end.quiet()
    again = end.peer.receive(2)
    end.peer.expect_nothing(0.15)

    assert again.seq in (1, 9001)  # the head, or first the probe of the tail (RFC 8985)


def test_a_closed_window_is_probed(establish: Callable[..., Established]) -> None:
    """By segments without new data, at growing intervals (RFC 9293, 3.8.6.1). packetimpact: tcp_zero_window_probe."""
    end = establish()
    end.close_window()
    end.socket.sendall(b"abc")
    probes = [end.peer.receive() for _ in range(5)]
    gaps = [(later.time - earlier.time) / 1e9 for earlier, later in itertools.pairwise(probes)]

    assert {(each.flags, each.seq, len(each.payload)) for each in probes} == {("A", 0, 0)}
    assert all(1.8 < after / before < 2.2 for before, after in itertools.pairwise(gaps)), gaps


def test_an_opened_window_ends_the_probes(establish: Callable[..., Established]) -> None:
    """The data follows at once. packetimpact: tcp_zero_window_probe."""
    end = establish()
    end.close_window()
    end.socket.sendall(b"abc")
    end.peer.expect("A", seq=0, length=0)
    end.peer.send("A", seq=2, ack=1, window=100)
    end.peer.expect("PA", seq=1, payload=b"abc", within=0.05)


def test_a_window_closed_by_a_repeated_ack(establish: Callable[..., Established]) -> None:
    """A window of zero counts though its segment has the numbers of the last one (RFC 9293, 3.10.7.4).

    Until 6.6, Linux takes a window from a segment with the same numbers only if it is larger, and sends the data
    (net/ipv4/tcp_input.c, tcp_may_update_window()). To a client, the numbers are later than those of the SYN-ACK.
    """
    end = establish()
    end.peer.send("A", seq=1, ack=1, window=0)
    end.socket.sendall(b"abc")
    if end.kernel_since(6, 6) or end.side == "client":
        end.peer.expect("A", seq=0, length=0)
    else:
        end.peer.expect("PA", seq=1, payload=b"abc", within=0.05)


@pytest.mark.parametrize("window", [65535, 0])
def test_the_user_timeout(
    establish: Callable[..., Established], error: Callable[[RecordedSocket], int], window: int
) -> None:
    """TCP_USER_TIMEOUT ends the connection (RFC 5482), also in a closed window. packetimpact: tcp_user_timeout."""
    end = establish()
    end.socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, 3000)
    end.peer.send("A", seq=1, ack=1, window=window)
    end.socket.sendall(b"abc")
    end.net.wait_until_gone(end.socket, 30)

    assert error(end.socket) == errno.ETIMEDOUT


def test_keepalive(end: Established, error: Callable[[RecordedSocket], int]) -> None:
    """Probes with the last number that was acknowledged; unanswered, they end it. packetdrill: keepalive."""
    for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 2)):
        end.socket.setsockopt(socket.IPPROTO_TCP, option, value)
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for _ in range(2):
        end.peer.expect("A", seq=0, length=0, within=6)
    end.peer.expect("RA", within=3)

    assert error(end.socket) == errno.ETIMEDOUT


def test_fragmentation_needed(end: Established) -> None:
    """What was too large is sent again in smaller segments (RFC 1191). packetdrill: icmp frag needed."""
    end.socket.sendall(bytes(1000))
    end.peer.send_icmp("fragmentation needed", about=end.peer.expect("PA", length=1000), mtu=600)
    found = end.peer.receive(0.5)

    assert 0 < len(found.payload) <= 560


def test_congestion_that_is_marked(net: Net) -> None:
    """With ECN that both sides want, ECE is answered with CWR, once (RFC 3168, 6.1.2). packetdrill: ecn."""
    net.h1.sysctl("net.ipv4.tcp_ecn", 1)
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.expect("SEW")
    peer.send("SAE", options="mss:1000")
    peer.expect("A")
    client.sendall(b"abc")
    peer.expect("PA")
    peer.send("AE", seq=1, ack=4)
    client.sendall(b"def")
    peer.expect("PAW", within=0.05)
    peer.send("A", seq=1, ack=7)
    client.sendall(b"ghi")
    peer.expect("PA", within=0.05)
