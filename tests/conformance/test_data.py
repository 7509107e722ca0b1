"""Data: what is accepted, in which order it is acknowledged, and what lies outside of the window.

Subjects of packetdrill's gtests/net/tcp (ooo, sack, dsack, validate, nagle, rcv, inq) and of gVisor's packetimpact
(tcp_outside_the_window, tcp_unacc_seq_ack, tcp_window_shrink, tcp_zero_receive_window, tcp_paws_mechanism).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.conftest import Established


def test_data_in_order(end: Established) -> None:
    """It is delivered and acknowledged. packetdrill: blocking-read."""
    end.peer.send("PA", seq=1, payload="one")

    assert end.socket.recv(10) == b"one"
    end.peer.expect("A", seq=1, ack=4, within=0.3)


def test_data_out_of_order(end: Established) -> None:
    """A duplicate ACK with a SACK block at once; the rest when the gap is filled (RFC 2018, 5681). packetdrill: ooo."""
    end.peer.send("A", seq=4, payload="two")
    gap = end.peer.expect("A", ack=1, within=0.05)
    end.peer.send("A", seq=1, payload="one")
    end.peer.expect("A", ack=7, within=0.3)

    assert gap.options.sack == ((end.peer.isn + 4, end.peer.isn + 7),)
    assert end.socket.recv(10) == b"onetwo"


def test_two_gaps(end: Established) -> None:
    """The most recent block is the first (RFC 2018, section 4). packetdrill: sack."""
    end.peer.send("A", seq=11, payload=10)
    end.peer.receive(0.1)
    end.peer.send("A", seq=31, payload=10)
    blocks = end.peer.receive(0.1).options.sack

    assert [tuple(edge - end.peer.isn for edge in block) for block in blocks] == [(31, 41), (11, 21)]


def test_no_sack_unless_it_was_permitted(establish: Callable[..., Established]) -> None:
    """The duplicate ACK has no block (RFC 2018, section 2)."""
    end = establish(options="mss:1000")
    end.peer.send("A", seq=11, payload=10)

    assert end.peer.expect("A", ack=1, within=0.1).options.sack == ()


def test_repeated_data(end: Established) -> None:
    """A D-SACK names what came twice (RFC 2883, section 4.1). packetdrill: dsack."""
    end.peer.send("PA", seq=1, payload="one")
    assert end.socket.recv(10) == b"one"
    end.quiet()
    end.peer.send("PA", seq=1, payload="one")
    found = end.peer.expect("A", ack=4, within=0.1)

    assert found.options.sack == ((end.peer.isn + 1, end.peer.isn + 4),)


def test_overlapping_data(end: Established) -> None:
    """Every byte is delivered once. packetdrill: ooo, partial overlap."""
    end.peer.send("A", seq=1, payload="abc")
    end.peer.send("A", seq=3, payload="cde")
    end.peer.send("A", seq=1, payload="abcdefg")
    end.net.sleep(0.1)

    assert end.socket.recv(20) == b"abcdefg"


@pytest.mark.parametrize("offset", [10_000_000, -10_000_000])
@pytest.mark.parametrize("kind", ["A", "PA", "FA"])
def test_outside_of_the_window(end: Established, offset: int, kind: str) -> None:
    """An ACK with the numbers that are expected, and no effect (RFC 9293, 3.10.7.4).

    packetimpact: tcp_outside_the_window.
    """
    end.peer.send(kind, seq=1 + offset, ack=1, payload="far" if kind != "FA" else b"")
    end.peer.expect("A", seq=1, ack=1, within=0.1)

    assert end.state == "ESTABLISHED"
    with pytest.raises(BlockingIOError):
        end.socket.recv(1, socket.MSG_DONTWAIT)


def test_an_acknowledgment_of_what_was_not_sent(end: Established) -> None:
    """It is answered, and what comes with it is dropped (RFC 9293, 3.10.7.4; RFC 5961, 5.2).

    Linux 6.1 and 6.12 drop it without an answer, against both RFCs; 7.2 answers (net/ipv4/tcp_input.c, tcp_ack()).
    packetimpact: tcp_unacc_seq_ack.
    """
    end.peer.send("PA", seq=1, ack=5_000_000, payload="never")
    if end.kernel_since(7, 2):
        end.peer.expect("A", seq=1, ack=1, within=0.1)
    else:
        end.peer.expect_nothing(0.1)

    with pytest.raises(BlockingIOError):
        end.socket.recv(1, socket.MSG_DONTWAIT)


def test_no_flags(end: Established) -> None:
    """Without ACK a segment is dropped (RFC 9293, 3.10.7.4, fifth). packetdrill: validate-established-no-flags."""
    end.peer.send("none", seq=1, payload="no")
    end.peer.expect_nothing(1)

    assert end.state == "ESTABLISHED"


def test_an_old_timestamp(establish: Callable[..., Established]) -> None:
    """PAWS: data with a timestamp of the past is not accepted, but answered (RFC 7323, 5.3). packetimpact: paws."""
    end = establish(options="mss:1000,sackok,ts:5000:0,nop,nop")
    echo = (end.opening.options.timestamps or (0, 0))[0]
    end.peer.send("PA", seq=1, payload="old", options=f"nop,nop,ts:4000:{echo}")
    end.peer.expect("A", ack=1, within=0.1)
    end.peer.send("PA", seq=1, payload="new", options=f"nop,nop,ts:5001:{echo}")
    end.peer.expect("A", ack=4, within=0.3)

    assert end.socket.recv(10) == b"new"


def test_timestamps_are_echoed(establish: Callable[..., Established]) -> None:
    """The last one that advanced the window (RFC 7323, 4.3). packetdrill: ts_recent."""
    end = establish(options="mss:1000,sackok,ts:700:0,nop,nop")
    echo = (end.opening.options.timestamps or (0, 0))[0]
    end.peer.send("PA", seq=1, payload="a", options=f"nop,nop,ts:710:{echo}")
    found = end.peer.expect("A", ack=2, within=0.3)

    assert (found.options.timestamps or (0, 0))[1] == 710


def test_small_writes_wait(end: Established) -> None:
    """Nagle: while data is unacknowledged, a small segment waits (RFC 1122, 4.2.3.4). packetdrill: nagle."""
    end.socket.sendall(b"a")
    end.peer.expect("PA", seq=1, payload=b"a")
    end.socket.sendall(b"b")
    end.socket.sendall(b"c")
    end.peer.expect_nothing(0.1)
    end.peer.send("A", seq=1, ack=2)
    end.peer.expect("PA", seq=2, payload=b"bc", within=0.1)


def test_small_writes_do_not_wait(end: Established) -> None:
    """With TCP_NODELAY each is sent at once. packetdrill: nagle, sockopt_nodelay."""
    end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number, text in enumerate((b"a", b"b", b"c"), 1):
        end.socket.sendall(text)
        end.peer.expect("PA", seq=number, payload=text, within=0.01)


def test_a_corked_socket(end: Established) -> None:
    """TCP_CORK holds what does not fill a segment, until it is removed. packetdrill: sockopt_cork_nodelay."""
    end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    end.socket.sendall(bytes(1200))
    end.peer.expect("A", length=1000)
    end.peer.send("A", seq=1, ack=1001)
    end.peer.expect_nothing(0.1)
    end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    end.peer.expect("PA", length=200, within=0.01)


def test_urgent_data(end: Established) -> None:
    """The byte at the urgent pointer is out of band (RFC 6093, section 3.2). packetdrill: urgent data."""
    end.peer.send("PAU", seq=1, payload="abc")

    assert end.socket.recv(1, socket.MSG_OOB) == b"a"
    assert end.socket.recv(10) == b"bc"


def test_an_unknown_option(end: Established) -> None:
    """It is ignored (RFC 9293, 3.1, MUST-6)."""
    end.peer.send("PA", seq=1, payload="abc", options="0xfd08deadbeef0000")

    assert end.socket.recv(10) == b"abc"


def test_a_shrinking_window(end: Established) -> None:
    """What was offered and is withdrawn is no longer used (RFC 9293, 3.8.6). packetimpact: tcp_window_shrink."""
    end.peer.send("PA", seq=1, payload="x")
    end.peer.send("PA", seq=2, payload="y", window=1)  # later than the last one that announced a window
    end.net.sleep(0.05)
    end.quiet()
    end.socket.sendall(bytes(500))
    end.net.sleep(0.1)

    assert sum(len(each.payload) for each in end.peer.received) <= 128  # the field, scaled by 7


def test_a_full_receive_buffer(end: Established) -> None:
    """The window closes; reading opens it again, and tells. packetimpact: tcp_zero_receive_window.

    A buffer that was made smaller is full before its window is used up. Since 6.6, what finds no room is answered with
    a window of zero (net/ipv4/tcp_output.c, tcp_select_window(), ICSK_ACK_NOMEM). Until then it is dropped without an
    answer (net/ipv4/tcp_input.c, tcp_data_queue()), and what is sent again after reading is taken.
    """
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    answers = []
    for seq in range(1, 200_000, 1000):
        end.peer.send("A", seq=seq, payload=1000)
        end.net.sleep(0.06)  # longer than an acknowledgment can be delayed
        answers = end.peer.received
        end.quiet()
        if not answers or not answers[-1].window:
            break
    if end.kernel_since(6, 6):
        assert answers[-1].window == 0
        end.socket.recv(200_000)
        assert end.peer.receive(1).window > 0
    else:
        assert not answers
        assert len(end.socket.recv(200_000)) == seq - 1
        end.quiet()
        end.peer.send("A", seq=seq, payload=1000)
        end.peer.expect("A", ack=seq + 1000, within=0.1)
