"""Closing: who sends what in which state, resets in and out of the window, what comes after close().

Subjects of packetdrill's gtests/net/tcp (close, shutdown, reset, ts_recent) and of gVisor's packetimpact
(fin_wait2_timeout, tcp_close_wait_ack, tcp_linger, tcp_noaccept_close_rst, tcp_timewait_reset).
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.conftest import Established
    from handshake_lab import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket


def test_the_kernel_closes_first(end: Established) -> None:
    """FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT. packetdrill: close-local-close-then-remote-fin."""
    end.socket.close()
    end.peer.expect("FA", seq=1, ack=1)
    end.peer.send("A", seq=1, ack=2)
    end.net.sleep(0.1)
    assert end.states() == ["FIN-WAIT-2"]
    end.peer.send("FA", seq=1, ack=2)
    end.peer.expect("A", seq=2, ack=2)
    assert end.states() == ["TIME-WAIT"]


def test_the_script_closes_first(end: Established) -> None:
    """CLOSE-WAIT, LAST-ACK. packetdrill: close-remote-fin-then-close."""
    end.peer.send("FA", seq=1)
    end.peer.expect("A", ack=2, within=0.1)
    assert end.state == "CLOSE-WAIT"
    assert end.socket.recv(10) == b""
    end.socket.close()
    end.peer.expect("FA", seq=1, ack=2)
    assert end.states() == ["LAST-ACK"]
    end.peer.send("A", seq=2, ack=2)
    end.net.sleep(0.1)
    assert end.states() == []


def test_crossing_fins(end: Established) -> None:
    """CLOSING, then TIME-WAIT (RFC 9293, figure 13). packetdrill: close, simultaneous."""
    end.socket.close()
    end.peer.expect("FA", seq=1)
    end.peer.send("FA", seq=1, ack=1)
    end.peer.expect("A", seq=2, ack=2)
    assert end.states() == ["CLOSING"]
    end.peer.send("A", seq=2, ack=2)
    end.net.sleep(0.1)
    assert end.states() == ["TIME-WAIT"]


def test_a_fin_with_an_acknowledgment(end: Established) -> None:
    """FIN-WAIT-1 to TIME-WAIT in one step. packetdrill: close, FIN-ACK of the FIN."""
    end.socket.close()
    end.peer.expect("FA", seq=1)
    end.peer.send("FA", seq=1, ack=2)
    end.peer.expect("A", seq=2, ack=2)

    assert end.states() == ["TIME-WAIT"]


def test_a_fin_out_of_order(end: Established) -> None:
    """It counts when the data before it has arrived. packetdrill: ooo, FIN."""
    end.peer.send("FA", seq=4)
    end.peer.expect("A", ack=1, within=0.1)
    assert end.state == "ESTABLISHED"
    end.peer.send("A", seq=1, payload="abc")
    end.peer.expect("A", ack=5, within=0.3)

    assert end.state == "CLOSE-WAIT"


def test_close_with_unread_data(end: Established) -> None:
    """A RST tells that data was lost (RFC 2525, 2.17). packetdrill: close, unread data."""
    end.peer.send("PA", seq=1, payload="unread")
    end.net.sleep(0.1)
    end.quiet()
    end.socket.close()
    end.peer.expect("RA", seq=1, ack=7)


def test_data_after_close(end: Established) -> None:
    """A RST: nobody reads it (RFC 9293, 3.6.1). packetdrill: close, data in FIN-WAIT."""
    end.socket.close()
    end.peer.expect("FA", seq=1)
    end.peer.send("A", seq=1, ack=2)
    end.peer.send("PA", seq=1, ack=2, payload="late")
    end.peer.expect("R", within=0.1)


def test_half_closed(end: Established) -> None:
    """After shutdown(SHUT_WR) data is still received. packetdrill: shutdown-wr-close."""
    end.socket.shutdown(socket.SHUT_WR)
    end.peer.expect("FA", seq=1)
    end.peer.send("A", seq=1, ack=2)
    end.peer.send("PA", seq=1, ack=2, payload="still")

    assert end.socket.recv(10) == b"still"


def test_shut_down_for_reading(end: Established) -> None:
    """Linux sends nothing, and the program reads the end. packetdrill: shutdown-rd-close."""
    end.socket.shutdown(socket.SHUT_RD)
    end.peer.expect_nothing(0.5)

    assert end.socket.recv(10) == b""


def test_data_in_close_wait(end: Established) -> None:
    """It can still be sent. packetimpact: tcp_close_wait_ack."""
    end.peer.send("FA", seq=1)
    end.peer.expect("A", ack=2, within=0.1)
    end.socket.sendall(b"abc")
    end.peer.expect("PA", seq=1, ack=2, payload=b"abc")


def test_linger_zero(end: Established) -> None:
    """close() sends a RST at once. packetimpact: tcp_linger; packetdrill: close, SO_LINGER."""
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.socket.close()
    end.peer.expect("RA", seq=1, ack=1)

    assert end.states() == []


def test_fin_wait_2_ends(end: Established) -> None:
    """An orphan leaves FIN-WAIT-2 after TCP_LINGER2. packetimpact: fin_wait2_timeout."""
    end.socket.setsockopt(socket.IPPROTO_TCP, 8, 3)  # TCP_LINGER2, in seconds
    end.socket.close()
    end.peer.expect("FA")
    end.peer.send("A", seq=1, ack=2)
    end.net.sleep(4)
    assert end.states() == []
    end.peer.send("PA", seq=1, ack=2, payload="late")
    end.peer.expect("R", within=0.1)


def test_an_exact_reset(end: Established, error: Callable[[RecordedSocket], int]) -> None:
    """It ends the connection (RFC 5961, 3.2). packetdrill: reset."""
    end.peer.send("R", seq=1)

    assert error(end.socket) == errno.ECONNRESET


def test_a_reset_in_the_window(end: Established) -> None:
    """A challenge ACK: it may be forged (RFC 5961, 3.2). packetdrill: rst, in window."""
    end.peer.send("R", seq=100)
    end.peer.expect("A", seq=1, ack=1, within=0.1)

    assert end.state == "ESTABLISHED"


def test_a_reset_outside_of_the_window(end: Established) -> None:
    """It is dropped (RFC 9293, 3.10.7.4, first). packetdrill: rst, out of window."""
    end.peer.send("R", seq=50_000_000)
    end.peer.expect_nothing(1)

    assert end.state == "ESTABLISHED"


def test_a_syn_in_established(end: Established) -> None:
    """A challenge ACK, whatever its number (RFC 5961, 4.2). packetdrill: syn in established."""
    for seq in (1, 0, 70_000_000):
        end.net.sleep(0.6)  # challenge ACKs of one connection are limited (net.ipv4.tcp_invalid_ratelimit)
        end.peer.send("S", seq=seq)
        end.peer.expect("A", seq=1, ack=1, within=0.1)

    assert end.state == "ESTABLISHED"


def test_a_fin_again_in_time_wait(end: Established) -> None:
    """It is acknowledged again, and the minute starts again (RFC 9293, 3.10.7.4, eighth). packetdrill: time-wait."""
    test_a_fin_with_an_acknowledgment(end)
    end.net.sleep(40)
    end.peer.send("FA", seq=1, ack=2)
    end.peer.expect("A", seq=2, ack=2)
    end.net.sleep(40)

    assert end.states() == ["TIME-WAIT"]


def test_a_reset_in_time_wait(end: Established) -> None:
    """Linux forgets the connection, unless net.ipv4.tcp_rfc1337 is set. packetimpact: tcp_timewait_reset."""
    test_a_fin_with_an_acknowledgment(end)
    end.peer.send("R", seq=2)
    end.net.sleep(0.1)

    assert end.states() == []


def test_a_reset_in_time_wait_is_ignored(end: Established) -> None:
    """With that setting it stays (RFC 1337)."""
    end.net.h1.sysctl("net.ipv4.tcp_rfc1337", 1)
    test_a_fin_with_an_acknowledgment(end)
    end.peer.send("R", seq=2)
    end.net.sleep(0.1)

    assert end.states() == ["TIME-WAIT"]


def test_a_listener_closes(net: Net) -> None:
    """What nobody has accepted is reset. packetimpact: tcp_noaccept_close_rst."""
    listener = net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("S")
    peer.expect("SA")
    peer.send("A", seq=1)
    net.sleep(0.1)
    listener.close()
    peer.expect("RA", seq=1, ack=1)


def test_close_in_syn_sent(net: Net) -> None:
    """Nothing is sent; the late SYN-ACK is reset. packetdrill: close-on-syn-sent."""
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.expect("S")
    client.close()
    peer.expect_nothing(3)
    peer.send("SA")
    peer.expect("R", seq=1)


@pytest.mark.parametrize("kind", ["PA", "FA"])
def test_the_last_acknowledgment_is_lost(end: Established, kind: str) -> None:
    """The FIN is sent again, with what was before it. packetdrill: close, retransmitted FIN."""
    if kind == "PA":
        end.socket.sendall(b"abc")
        end.peer.expect("PA")
    end.socket.close()
    first = end.peer.receive()
    again = end.peer.receive(2)

    assert first.flags == "FA"
    assert "F" in again.flags or again.payload == b"abc"
