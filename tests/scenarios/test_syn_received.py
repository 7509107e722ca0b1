"""The effect of crafted segments on a handshake in SYN-RECEIVED.

The middle crafts the segment when the SYN-ACK passes it. It arrives at the server one trip later, when the third
segment of the handshake is still in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_trip, crafted_segment, endpoint, seconds, sent_flags, witnesses

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

OPENED = ["CLOSED", "SYN-SENT", "ESTABLISHED"]


def reset_meanwhile(net: Net) -> RecordedSocket:
    """A client that is ESTABLISHED and then reset, after its request is gone and all segments have arrived."""
    client = net.h1.connect(net.h2.listen(80))
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    net.settle()
    return client


@pytest.mark.scenario(18)
def test_rst_in_syn_received(net: Net) -> None:
    """RFC 9293, figure 5, note 1, and 3.10.7.4: an exact RST returns a passive SYN-RECEIVED to LISTEN.

    Linux drops the request (tcp_check_req()): only sock_diag shows it, and the listener is not affected. The client,
    which is ESTABLISHED meanwhile, is reset when its ACK finds no request.
    """
    net.inject("RST", to="h2", from_="h1", on="SYN-ACK", nth=1)
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    with pytest.raises(ConnectionResetError):
        client.recv(1)

    opened = net.history(client)
    request = endpoint(net.record(), "h2", "server")
    rst = crafted_segment(net.record())
    assert (rst.flags, rst.rel_seq) == ("R", 1)
    assert opened.states == [*OPENED, "CLOSED"]
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "LISTEN"]
    assert (request.transitions[-1].edge, request.transitions[-1].cause.segment) == ("9", rst.number)
    assert "tracepoint" not in witnesses(request, "SYN-RECEIVED")
    assert request.transitions[-1].witnesses == ("diag", "capture")
    assert sent_flags(net.record()) == ["S", "SA", "A", "R"]
    assert seconds(request.time_in("SYN-RECEIVED")) == approx_trip(net.one_way)
    assert seconds(opened.time_in("ESTABLISHED")) == approx_trip(net.rtt)
    assert net.h2.counters()["EmbryonicRsts"] == 1

    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]
    assert net.history(net.h1.connect(listener)).states == OPENED


@pytest.mark.scenario(19)
def test_rst_inexact_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.10.7.4: a RST in the window that is not exact is answered with a challenge ACK; the state stays.

    Linux does so in tcp_check_req(), 6.1.192 and 7.3 among others; earlier releases dropped the request for any RST
    in the window.
    """
    net.inject("RST", to="h2", from_="h1", seq=100, on="SYN-ACK", nth=1)
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    net.settle()

    accepted = net.history(server)
    rst = crafted_segment(net.record())
    assert (rst.flags, rst.rel_seq) == ("R", 101)
    assert net.history(client).states == OPENED
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert sent_flags(net.record(), sender="h1") == ["S", "A"]
    assert sent_flags(net.record(), sender="h2") == ["SA", "A"]
    challenge = next(segment for segment in net.record().segments if segment.sender == "h2" and segment.flags == "A")
    assert rst.received is not None
    assert challenge.sent is not None
    assert seconds(challenge.sent - rst.received) == approx_trip(0)
    assert (challenge.rel_seq, challenge.rel_ack) == (1, 1)
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)
    assert net.h2.counters()["TCPChallengeACK"] == 1
    assert net.h2.counters()["EmbryonicRsts"] == 0


@pytest.mark.scenario(20)
def test_syn_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.10.7.4, with erratum 8710: another SYN in the window of a passive SYN-RECEIVED returns it to LISTEN.

    Linux also answers it with RST-ACK (embryonic_reset in tcp_check_req()); the client's ACK then finds no request.
    """
    net.inject("SYN", to="h2", from_="h1", on="SYN-ACK", nth=1)
    client = reset_meanwhile(net)

    request = endpoint(net.record(), "h2", "server")
    syn = crafted_segment(net.record())
    assert (syn.flags, syn.rel_seq) == ("S", 1)
    assert net.history(client).states == [*OPENED, "CLOSED"]
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "LISTEN"]
    assert (request.transitions[-1].edge, request.transitions[-1].cause.segment) == ("23", syn.number)
    assert request.transitions[-1].witnesses == ("diag", "capture")
    assert sent_flags(net.record(), sender="h1") == ["S", "A"]
    assert sent_flags(net.record(), sender="h2") == ["SA", "RA", "R"]
    assert seconds(request.time_in("SYN-RECEIVED")) == approx_trip(net.one_way)
    assert net.h2.counters()["EmbryonicRsts"] == 1
    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]


def test_syn_ack_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.10.7.4: the check for a SYN in the window comes before that for an ACK, and a SYN-ACK has both.

    Linux drops the request as for a SYN, if the acknowledgment number is correct. The RST has that number, so that it
    resets the client, which is ESTABLISHED meanwhile.
    """
    net.inject("SYN-ACK", to="h2", from_="h1", seq=100, on="SYN-ACK", nth=1)
    client = reset_meanwhile(net)

    request = endpoint(net.record(), "h2", "server")
    syn_ack = crafted_segment(net.record())
    assert (syn_ack.flags, syn_ack.rel_seq) == ("SA", 101)
    assert net.history(client).states == [*OPENED, "CLOSED"]
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "LISTEN"]
    assert (request.transitions[-1].edge, request.transitions[-1].cause.segment) == ("23", syn_ack.number)
    assert sent_flags(net.record(), sender="h1") == ["S", "A"]
    assert sent_flags(net.record(), sender="h2") == ["SA", "R", "R"]
    assert net.h2.counters()["EmbryonicRsts"] == 1
    assert [snapshot.state for snapshot in net.h2.sockets()] == ["LISTEN"]


@pytest.mark.scenario(21)
def test_bad_ack_in_syn_received(net: Net) -> None:
    """RFC 9293, 3.5.2, group 1, and 3.10.7.4: an ACK of data that was never sent is answered with RST; the state stays.

    The RST has the number that the ACK acknowledged. The client expects a different one and ignores it.
    """
    net.inject("ACK", to="h2", from_="h1", ack=1_000_000_000, on="SYN-ACK", nth=1)
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    net.settle()

    accepted = net.history(server)
    ack = crafted_segment(net.record())
    (rst,) = [segment for segment in net.record().segments if "R" in segment.flags]
    assert ack.flags == "A"
    assert net.history(client).states == OPENED
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert (rst.sender, rst.flags, rst.seq) == ("h2", "R", ack.ack)
    assert ack.received is not None
    assert rst.sent is not None
    assert seconds(rst.sent - ack.received) == approx_trip(0)
    assert sent_flags(net.record(), sender="h1") == ["S", "A"]
    assert sent_flags(net.record(), sender="h2") == ["SA", "R"]
    assert seconds(accepted.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)
    assert net.h2.counters()["OutRsts"] == 1
    assert net.h2.counters()["EmbryonicRsts"] == 0
