"""Opening: what answers a SYN, in which order, with which options, and what ends the attempt.

Subjects of packetdrill's gtests/net/tcp (connect, listen, syscall_bad_arg, fastopen's regular parts) and of gVisor's
packetimpact (tcp_synsent_reset, tcp_synrcvd_reset, tcp_connect_icmp_error, tcp_handshake_window_size).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.conftest import Established
    from handshake_lab import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket


def test_a_syn_without_options(net: Net) -> None:
    """The SYN-ACK then has no option but the MSS (RFC 9293, 3.7.1). packetdrill: basic three-way handshake."""
    net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("S")
    options = peer.expect("SA", seq=0, ack=1).options

    assert (options.mss, options.window_scale, options.sack_permitted, options.timestamps) == (1460, None, False, None)


def test_options_are_offered_and_accepted(net: Net) -> None:
    """A client offers MSS, SACK, timestamps and a window scale. packetdrill: connect, SYN options."""
    peer = net.h2.scripted_peer(80)
    net.h1.begin_connect(("h2", 80))
    options = peer.expect("S", seq=0).options

    assert (options.mss, options.sack_permitted) == (1460, True)
    assert options.window_scale is not None
    assert options.timestamps is not None
    assert options.timestamps[1] == 0


def test_a_syn_is_answered_again(net: Net) -> None:
    """A repeated SYN has the same answer: the SYN-ACK was lost. packetdrill: SYN-RECEIVED, retransmitted SYN."""
    net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("S")
    first = peer.expect("SA", seq=0, ack=1)
    peer.send("S")
    again = peer.expect("SA", seq=0, ack=1)

    assert again.raw.seq == first.raw.seq
    assert peer.expect("SA", ack=1, within=1.5).raw.seq == first.raw.seq  # its own timer


def test_a_syn_ack_for_another_syn(net: Net) -> None:
    """A wrong acknowledgment in SYN-SENT: a RST with that number, and the attempt goes on (RFC 9293, 3.10.7.3).

    packetimpact: tcp_unacc_seq_ack, in SYN-SENT.
    """
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.expect("S")
    peer.send("SA", ack=1000)
    reset = peer.expect("R")

    assert reset.raw.seq == (peer.remote_isn or 0) + 1000
    assert net.wait_for_state(client, "SYN-SENT")
    peer.expect("S", within=1.5)
    peer.send("SA")
    peer.expect("A", seq=1, ack=1)


@pytest.mark.parametrize(("kind", "ack", "ended"), [("RA", 1, True), ("RA", 5, False), ("R", None, False)])
def test_a_reset_in_syn_sent(
    net: Net, error: Callable[[RecordedSocket], int], kind: str, ack: int | None, *, ended: bool
) -> None:
    """Only a RST that acknowledges the SYN refuses (RFC 9293, 3.10.7.3). packetimpact: tcp_synsent_reset."""
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.expect("S")
    peer.send(kind, ack=ack)

    assert error(client) == (errno.ECONNREFUSED if ended else 0)


def test_a_reset_in_syn_received(net: Net) -> None:
    """The half-open connection is forgotten; another SYN starts again. packetimpact: tcp_synrcvd_reset."""
    net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("S")
    peer.expect("SA")
    peer.send("R", seq=1)
    peer.expect_nothing(3)
    peer.send("S", seq=5000)
    peer.expect("SA", ack=5001)


def test_an_ack_to_a_listener(net: Net) -> None:
    """It is reset with the number that it acknowledges (RFC 9293, 3.10.7.2). packetdrill: listen, stray ACK."""
    net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("A", seq=1, ack=77, absolute=True)

    assert peer.expect("R").raw.seq == 77


@pytest.mark.parametrize("kind", ["F", "R", "none", "SF"])
def test_what_a_listener_ignores(net: Net, kind: str) -> None:
    """No answer, or for SYN with FIN none on Linux. packetdrill: listen, segments that are no SYN."""
    net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send(kind)
    peer.expect_nothing(2)


def test_an_icmp_error_in_syn_sent(net: Net, error: Callable[[RecordedSocket], int]) -> None:
    """A port that is unreachable refuses, an unreachable host is reported. packetimpact: tcp_connect_icmp_error."""
    for kind, wanted in (("port unreachable", errno.ECONNREFUSED), ("host unreachable", errno.EHOSTUNREACH)):
        peer = net.h2.scripted_peer(80)
        client = net.h1.begin_connect(("h2", 80))
        peer.send_icmp(kind, about=peer.expect("S"))
        assert error(client) == wanted
        peer.close()


def test_an_icmp_error_about_another_segment(net: Net, error: Callable[[RecordedSocket], int]) -> None:
    """Its number is not that of the SYN: it is ignored (RFC 5927, section 4)."""
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    syn = peer.expect("S")
    other = msgspec.structs.replace(syn, raw=msgspec.structs.replace(syn.raw, seq=syn.raw.seq + 5000))
    peer.send_icmp("port unreachable", about=other)

    assert error(client) == 0


def test_crossing_syns(net: Net) -> None:
    """Both sides open: a SYN-ACK answers the SYN (RFC 9293, 3.5, figure 7). packetimpact: simultaneous open."""
    peer = net.h2.scripted_peer(80)
    client = net.h1.begin_connect(("h2", 80))
    peer.expect("S", seq=0)
    peer.send("S")
    peer.expect("SA", seq=0, ack=1)
    peer.send("SA")
    net.wait_for_state(client, "ESTABLISHED")


def test_data_in_a_syn(net: Net) -> None:
    """Without Fast Open it is not acknowledged, and comes again. packetdrill: SYN with data."""
    listener = net.h1.listen(80)
    peer = net.h2.scripted_peer(40000, to=("h1", 80))
    peer.send("S", payload="early")
    peer.expect("SA", ack=1)
    peer.send("PA", seq=1, payload="early")
    peer.expect("A", ack=6)

    assert listener.accept()[0].recv(10) == b"early"


def test_the_mss_is_obeyed(establish: Callable[..., Established]) -> None:
    """No segment is longer than the other side's MSS (RFC 9293, 3.7.1). packetdrill: mss."""
    end = establish(options="mss:536")
    end.socket.sendall(bytes(1500))

    assert [len(end.peer.receive(1).payload) for _ in range(3)] == [536, 536, 428]


def test_a_window_scale_needs_both_sides(establish: Callable[..., Established]) -> None:
    """Not offered, it is not used: the window field is the window. packetimpact: tcp_handshake_window_size."""
    end = establish(options="mss:1000", window=1500)
    end.socket.sendall(bytes(3000))
    sizes = [len(end.peer.receive(1).payload), len(end.peer.receive(1).payload)]

    assert sum(sizes) == 1500  # half of the window each: silly windows are avoided (tcp_bound_to_half_wnd())
    end.peer.expect_nothing(0.15)
