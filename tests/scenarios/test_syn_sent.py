"""What ends SYN-SENT, or does not: resets, wrong acknowledgments, close(), ICMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    approx_timer,
    approx_trip,
    crafted_segment,
    endpoint,
    entered,
    seconds,
    sent,
    sent_at,
    sent_flags,
    witnesses,
)

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

OPENED = ["CLOSED", "SYN-SENT", "ESTABLISHED"]


@pytest.mark.scenario(22)
def test_rst_noack_in_syn_sent(net: Net) -> None:
    """RFC 9293, 3.10.7.3: a RST without an acceptable ACK is dropped in SYN-SENT: it might be forged."""
    net.inject("RST", to="h1", from_="h2", on="SYN", nth=1)
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    listener.accept()

    opened = net.history(client)
    rst = crafted_segment(net.record())
    assert (rst.receiver, rst.flags) == ("h1", "R")
    assert rst.received is not None
    assert opened.transitions[0].time < rst.received < opened.transitions[1].time
    assert opened.states == OPENED
    assert sent_flags(net.record()) == ["S", "SA", "A"]
    assert seconds(opened.time_in("SYN-SENT")) == approx_trip(net.rtt)


@pytest.mark.scenario(23)
def test_badack_in_syn_sent(net: Net) -> None:
    """RFC 9293, 3.10.7.3: an ACK of data that was not sent is answered with RST in SYN-SENT; the state stays.

    Linux then also retransmits its SYN, after two jiffies instead of a second: the RST may have removed an old
    connection that blocked the new one (tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c).
    """
    net.drop("SYN", nth=1, from_="h1")
    net.inject("ACK", to="h1", from_="h2", ack=1_000_000_000, on="SYN", nth=1)
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened = net.history(client)
    ack = crafted_segment(net.record())
    (rst,) = sent(net.record(), "R")
    assert ack.received is not None
    assert opened.states == OPENED
    assert net.history(server).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert (rst.sender, rst.seq) == ("h1", ack.ack)
    assert ack.received is not None
    assert rst.sent is not None
    assert seconds(rst.sent - ack.received) == approx_trip(0)
    assert sent_flags(net.record()) == ["S", "R", "S", "SA", "A"]
    again = sent_at(net.record(), "S")[1]
    assert again - seconds(ack.received) == approx_timer(2 / net.kernel.hz, hz=net.kernel.hz)
    assert entered(opened, "ESTABLISHED") - again == approx_trip(net.rtt)
    assert net.h1.counters()["OutRsts"] == 1


@pytest.mark.scenario(24)
def test_close_in_syn_sent(net: Net) -> None:
    """RFC 9293, 3.10.4: CLOSE in SYN-SENT deletes the connection without sending a segment.

    The server's SYN-ACK then finds no socket and is answered with an exact RST, which returns its request to LISTEN.
    """
    listener = net.h2.listen(80)
    client = net.h1.begin_connect(listener)
    net.wait_for_state(client, "SYN-SENT")
    client.close()
    net.h2.wait_for("SYN-RECEIVED")
    net.h2.wait_for("SYN-RECEIVED", count=0)

    left = net.history(client)
    request = endpoint(net.record(), "h2", "server")
    assert left.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert left.transitions[-1].edge == "8"
    assert witnesses(left, "CLOSED") >= {"tracepoint", "application"}
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "LISTEN"]
    assert request.transitions[-1].edge == "9"
    assert sent_flags(net.record()) == ["S", "SA", "R"]
    assert [segment.sender for segment in sent(net.record())] == ["h1", "h2", "h1"]
    assert seconds(request.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)
    assert net.h2.counters()["EmbryonicRsts"] == 1


PROHIBITED = pytest.mark.handshake(topology="firewall,port=443,refuse=prohibited")
UNREACHABLE = pytest.mark.handshake(topology="routed")


@pytest.mark.scenario(25)
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("administratively prohibited", marks=PROHIBITED, id="prohibited"),
        pytest.param("host unreachable", marks=UNREACHABLE, id="unreachable"),
    ],
)
def test_icmp_in_syn_sent(net: Net, code: str) -> None:
    """RFC 9293, 3.9.2.2, RFC 1122, 4.2.3.9: a hard ICMP error ends the connection attempt.

    "Host unreachable" is a soft error by RFC 1122; in SYN-SENT Linux ends the attempt for both (tcp_v4_err(),
    net/ipv4/tcp_ipv4.c), and connect() fails with EHOSTUNREACH.
    """
    net.h2.listen(80)
    if code == "host unreachable":
        net.network["r1"].run(["ip", "route", "add", "unreachable", net.h2.ip])
    client = net.h1.socket()
    with pytest.raises(OSError, match="No route to host"):
        client.connect((net.h2.ip, 80))

    history = net.history(client)
    assert history.states == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert history.transitions[-1].edge == "44.SS"
    assert sent_flags(net.record()) == ["S"]
    assert seconds(history.time_in("SYN-SENT")) == approx_trip(net.one_way)
