"""C12 to C21: closing a connection."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from claim_measures import connected, distance, flags, ms, read, segments
from handshake_lab import approx_timer, approx_trip, entered, seconds
from handshake_lab.recording.observations import StateChange

if TYPE_CHECKING:
    from documented.conftest import Claim
    from handshake_lab import Net, RecordedSocket, TransmittedSegment

pytestmark = pytest.mark.handshake(delay="50ms")

#: Seconds that a program waits between its peer's end and its own: long enough to distinguish the two.
PAUSE = 0.5


def since_fin(net: Net, client: RecordedSocket) -> list[TransmittedSegment]:
    """The segments of a client's connection, starting with the first FIN."""
    found = segments(net, client)
    return found[next(place for place, each in enumerate(found) if "F" in each.flags) :]


@pytest.mark.claim("C12")
def test_c12_fin_wait_1(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: CLOSE sends a FIN and enters FIN-WAIT-1, until the FIN is acknowledged. Linux enters it at
    the call, even if the FIN cannot be sent yet because data before it fills the peer's window (tcp_close_state()).
    """
    _, client, _ = connected(net)
    client.shutdown(socket.SHUT_WR)
    net.wait_for_state(client, "FIN-WAIT-2")
    fin = since_fin(net, client)[0]
    plain = seconds(fin.sent) - entered(net.history(client), "FIN-WAIT-1")
    states = net.history(client).states
    listener = net.h2.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((net.h2.ip, 81))
    listener.listen()
    stuck = net.h1.connect(listener)
    server, _ = listener.accept()
    sent = _fill(stuck)
    stuck.shutdown(socket.SHUT_WR)
    net.sleep(PAUSE)
    without_fin = [net.history(stuck).states[-1], *(each.flags for each in segments(net, stuck) if "F" in each.flags)]
    received = read(server, sent + 1)
    fin = since_fin(net, stuck)[0]
    waited = seconds(fin.sent) - entered(net.history(stuck), "FIN-WAIT-1")

    assert states == ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert plain == approx_trip(0)
    assert without_fin == ["FIN-WAIT-1"]
    assert len(received) == sent
    assert waited >= PAUSE
    claim.holds_with_a_nuance(plain=ms(plain), unread=sent, waited=ms(waited))


def _fill(sender: RecordedSocket) -> int:
    """Send until the socket accepts no more data; return the number of bytes."""
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    sender.settimeout(1.0)
    sent = 0
    try:
        while True:
            sent += sender.send(bytes(1000))
    except TimeoutError:
        return sent


@pytest.mark.claim("C13")
def test_c13_close_wait_and_fin_wait_2(net: Net, claim: Claim) -> None:
    """RFC 9293, figure 12: CLOSE-WAIT on the FIN, FIN-WAIT-2 on its acknowledgment. Linux acknowledges a FIN like
    data, up to 40 ms later (tcp_fin() enters pingpong mode): a peer that closes before that acknowledges with its own
    FIN, and FIN-WAIT-2 does not occur.
    """
    client, server = _asked_and_answered(net, 80)
    client.shutdown(socket.SHUT_WR)
    net.sleep(PAUSE)
    fin, ack = since_fin(net, client)
    later = seconds(ack.sent - fin.received)
    at_server, at_client = net.history(server), net.history(client)
    quick, peer = _asked_and_answered(net, 81)
    quick.shutdown(socket.SHUT_WR)
    peer.recv(1)
    peer.close()
    quick.recv(1)

    assert (fin.flags, ack.flags) == ("FA", "A")
    assert entered(at_server, "CLOSE-WAIT") - seconds(fin.received) == approx_trip(0)
    assert at_server.states[-1] == "CLOSE-WAIT"
    assert entered(at_client, "FIN-WAIT-2") - seconds(ack.received) == approx_trip(0)
    assert at_client.states[-1] == "FIN-WAIT-2"
    assert 0 <= later <= 0.05
    assert net.history(quick).states[-2:] == ["FIN-WAIT-1", "TIME-WAIT"]
    claim.holds_with_a_nuance(later=ms(later))


@pytest.mark.claim("C14")
def test_c14_data_in_close_wait(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: after its FIN a program continues to receive; in Linux only after shutdown(SHUT_WR):
    close() closes both directions, and the first data is answered with RST (tcp_rcv_state_process()).
    """
    size = 100_000
    _, client, server = connected(net)
    client.shutdown(socket.SHUT_WR)
    net.wait_for_state(client, "FIN-WAIT-2")
    server.sendall(bytes(size))
    received = len(read(client, size))
    states = (net.history(client).states[-1], net.history(server).states[-1])
    _, closing, peer = connected(net, 81)
    ends = closing.getsockname()[1]
    closing.close()
    end = peer.recv(1)
    peer.sendall(b"answer")
    net.sleep(PAUSE)
    with pytest.raises(BrokenPipeError):
        peer.sendall(b"more")
    last = [each.flags for each in net.record().segments if ends in (each.src.port, each.dst.port)][-1]

    assert (received, end) == (size, b"")
    assert states == ("FIN-WAIT-2", "CLOSE-WAIT")
    assert net.history(peer).states[-1] == "CLOSED"
    assert last == "R"
    claim.holds_with_a_nuance(received=received)


@pytest.mark.claim("C15")
def test_c15_last_ack(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: CLOSE in CLOSE-WAIT sends a FIN and enters LAST-ACK."""
    _, client, server = connected(net)
    client.shutdown(socket.SHUT_WR)
    server.recv(1)
    net.sleep(PAUSE)
    server.close()
    called = seconds(net.clock.now())
    client.recv(1)
    fin = next(each for each in since_fin(net, client) if each.sender == "h2" and "F" in each.flags)
    history = net.history(server)

    assert history.states[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"] or history.states[-1] == "LAST-ACK"
    assert called - entered(history, "LAST-ACK") == approx_trip(0)
    assert seconds(fin.sent) - entered(history, "LAST-ACK") == approx_trip(0)
    claim.holds(
        waited=ms(seconds(history.time_in("CLOSE-WAIT"))), fin=ms(seconds(fin.sent) - entered(history, "LAST-ACK"))
    )


@pytest.mark.handshake_slow
@pytest.mark.claim("C16")
def test_c16_time_wait(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: the peer's FIN is acknowledged at once, and TIME-WAIT follows, then CLOSED. In Linux a
    mini-socket represents TIME-WAIT: the tracepoint reports FIN-WAIT-2 to CLOSED, sock_diag shows TIME-WAIT.
    """
    _, client, server = connected(net)
    client.shutdown(socket.SHUT_WR)
    net.wait_for_state(client, "FIN-WAIT-2")
    server.close()
    client.recv(1)
    net.settle()
    *_, fin, ack = since_fin(net, client)
    client.close()
    net.wait_until_closed()
    history = net.history(client)
    reported = [(seen.old, seen.new) for seen in net.observations if isinstance(seen, StateChange)]

    assert history.states[-3:] == ["FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert (fin.flags, ack.flags, ack.sender) == ("FA", "A", "h1")
    assert seconds(ack.sent - fin.received) == approx_trip(0)
    assert entered(history, "TIME-WAIT") - seconds(fin.received) == approx_trip(0)
    assert ("FIN-WAIT-2", "CLOSED") in reported
    claim.holds(ack=ms(seconds(ack.sent - fin.received)), waited=round(seconds(history.time_in("TIME-WAIT")), 3))


@pytest.mark.claim("C17")
def test_c17_peer_is_closed(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: LAST-ACK ends when the acknowledgment of the peer's own FIN arrives, after one round trip."""
    _, client, server = connected(net)
    client.shutdown(socket.SHUT_WR)
    server.recv(1)
    net.sleep(PAUSE)
    server.close()
    client.recv(1)
    net.settle()
    ack = since_fin(net, client)[-1]
    history = net.history(server)
    waited = seconds(history.time_in("LAST-ACK"))
    later = entered(history, "CLOSED") - seconds(ack.received)

    assert history.states[-2:] == ["LAST-ACK", "CLOSED"]
    assert (ack.sender, ack.flags) == ("h1", "A")
    assert waited == approx_trip(net.rtt)
    assert later == approx_trip(0)
    claim.holds(waited=ms(waited), later=ms(later))


@pytest.mark.claim("C18")
def test_c18_fin_ends_one_direction(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6: after its FIN a side sends acknowledgments but no data; the other continues to send."""
    size = 20_000
    _, client, server = connected(net)
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        client.sendall(b"more")
    asked = read(server, 100)
    server.sendall(bytes(size))
    received = read(client, size)
    net.settle()
    fin, *after = since_fin(net, client)
    from_client = [each for each in after if each.sender == "h1"]

    assert asked == b"request"
    assert len(received) == size
    assert sum(each.length for each in after if each.sender == "h2") == size
    assert {(each.length, each.flags, each.rel_seq) for each in from_client} == {(0, "A", fin.rel_seq + fin.length + 1)}
    assert (net.history(client).states[-1], net.history(server).states[-1]) == ("FIN-WAIT-2", "CLOSE-WAIT")
    claim.holds(acks=len(from_client), received=size)


@pytest.mark.claim("C19")
def test_c19_four_segments(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6, figures 12 and 13: four segments, if the peer closes later or both close at the same time; if
    the peer closes at once, Linux sends three, because the ACK is delayed and sent with the FIN.
    """
    apart = _close(net, 80, pause=PAUSE)
    at_once = _close(net, 81, pause=0)
    _, client, server = connected(net, 82)
    net.wait_for_state(server, "ESTABLISHED")
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    net.sleep(PAUSE)
    crossing = flags(since_fin(net, client))

    assert apart == ["FA", "A", "FA", "A"]
    assert at_once == ["FA", "FA", "A"]
    assert crossing == ["FA", "FA", "A", "A"]
    claim.holds_with_a_nuance(apart=len(apart), at_once=len(at_once), crossing=len(crossing))


def _close(net: Net, port: int, *, pause: float) -> list[str]:
    """The flags of the segments of a close, where the peer closes this many seconds after the FIN."""
    client, server = _asked_and_answered(net, port)
    _end(net, client, server, pause)
    net.settle()
    return flags(since_fin(net, client))


def _asked_and_answered(net: Net, port: int) -> tuple[RecordedSocket, RecordedSocket]:
    """The two ends of a connection that has carried data in both directions."""
    _, client, server = connected(net, port)
    client.sendall(b"request")
    read(server, 7)
    server.sendall(b"answer")
    read(client, 6)
    return client, server


@pytest.mark.claim("C20")
def test_c20_what_time_wait_is_for(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.6.1: TIME-WAIT repeats the last ACK and discards late segments; but its ACK to a late segment causes
    the peer, whose connection no longer exists, to send a RST, which ends TIME-WAIT (RFC 1337, unless
    net.ipv4.tcp_rfc1337 is set). A new connection between the same ends can be opened if timestamps distinguish old
    segments from new ones (tcp_timewait_state_process(), and tcp_twsk_unique() for the side in TIME-WAIT, which
    continues 65,537 numbers ahead and is refused without timestamps).
    """
    closing = _lose_the_last_ack(net, 80)
    late, answers, killed = _late_data(net, 81)
    cut_short = _reopen_from_the_other_side(net, 82)
    ahead = _reopen_from_the_same_side(net, 83)
    net.h1.sysctl("net.ipv4.tcp_timestamps", 0)
    with pytest.raises(OSError, match="Cannot assign requested address"):
        _reopen_from_the_same_side(net, 84)

    assert [(each.flags, each.lost) for each in closing[3:]] == [("A", True), ("FA", False), ("A", False)]
    assert late >= 3.0
    assert answers == ["h1 A", "h2 R"]
    assert killed == approx_trip(net.rtt)
    assert PAUSE <= cut_short < 2 * PAUSE
    assert ahead == 65_537
    claim.holds_with_a_nuance(
        again=ms(seconds(closing[5].sent - closing[3].sent)),
        late=round(late, 3),
        killed=ms(killed),
        cut_short=round(cut_short, 3),
        ahead=ahead,
    )


def _lose_the_last_ack(net: Net, port: int) -> list[TransmittedSegment]:
    """A close whose last ACK is lost: its segments from the first FIN on."""
    _, client, server = connected(net, port)
    net.drop("ACK", nth=1, from_="h1", port=port)
    _end(net, client, server, PAUSE)
    net.wait_until_gone(server)
    return since_fin(net, client)


def _late_data(net: Net, port: int) -> tuple[float, list[str], float]:
    """Data whose retransmission arrives in time and whose original arrives in TIME-WAIT: its delay in seconds, the
    segments sent then, and the seconds from its arrival to the end of TIME-WAIT.
    """
    _, client, server = connected(net, port)
    net.delay("DATA", "3s", nth=1, from_="h2", port=port)
    server.sendall(b"answer")
    read(client, 6)
    _end(net, client, server, 0)
    net.wait_until_gone(client)
    assert client.recv(6) == b"", "the late data is not delivered"
    found = segments(net, client)
    late = max((each for each in found if each.length), key=lambda each: each.received)
    answers = [f"{each.sender} {each.flags}" for each in found if each.sent >= late.received]
    return seconds(late.received - late.sent), answers, entered(net.history(client), "CLOSED") - seconds(late.received)


def _reopen_from_the_other_side(net: Net, port: int) -> float:
    """The server is in TIME-WAIT, and its peer opens the same connection again: seconds that TIME-WAIT lasted."""
    listener, client, server = connected(net, port, from_port=port)
    _end(net, server, client, 0)
    server.close()
    net.sleep(PAUSE)
    net.h1.begin_connect(listener, port=port)
    listener.accept()
    return seconds(net.history(server).time_in("TIME-WAIT"))


def _reopen_from_the_same_side(net: Net, port: int) -> int:
    """The client is in TIME-WAIT and opens the same connection again: how far its new ISN is ahead."""
    listener, client, server = connected(net, port, from_port=port)
    _end(net, client, server, 0)
    net.settle()
    last = since_fin(net, client)[-1]
    client.close()
    again = net.h1.begin_connect(listener, port=port)
    listener.accept()
    return distance(last.seq, segments(net, again)[0].seq)


@pytest.mark.handshake_slow
@pytest.mark.claim("C21")
def test_c21_time_wait_is_fixed(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.4.2: 2 MSL, four minutes; in Linux 60 s (TCP_TIMEWAIT_LEN), which net.ipv4.tcp_fin_timeout does
    not change, and which every retransmitted FIN restarts (tcp_timewait_state_process()).
    """
    waits = {fin_timeout: _time_in_time_wait(net, fin_timeout)[0] for fin_timeout in (60, 5, 200)}
    restarted, again = _time_in_time_wait(net, 61, lost=4)

    assert waits == {60: approx_timer(60.0), 5: approx_timer(60.0), 200: approx_timer(60.0)}
    assert again >= 1.5
    assert restarted == approx_timer(60.0, plus=again)
    claim.holds_with_a_nuance(
        least=round(min(waits.values()), 2),
        most=round(max(waits.values()), 2),
        restarted=round(restarted, 2),
        again=round(again, 2),
    )


def _time_in_time_wait(net: Net, fin_timeout: int, *, lost: int = 0) -> tuple[float, float]:
    """The duration of TIME-WAIT, and for how long FINs arrived; this many of the last ACKs are lost."""
    net.h1.sysctl("net.ipv4.tcp_fin_timeout", fin_timeout)
    port = 1000 + fin_timeout
    _, client, server = connected(net, port)
    if lost:
        net.drop("ACK", first=lost, from_="h1", port=port)
    _end(net, client, server, 0)
    ends = client.getsockname()[1]
    client.close()
    net.wait_until_closed()
    fins = [each.received for each in net.record().segments if each.dst.port == ends and "F" in each.flags]
    return seconds(net.history(client).time_in("TIME-WAIT")), seconds(fins[-1] - fins[0])


def _end(net: Net, first: RecordedSocket, second: RecordedSocket, pause: float) -> None:
    """One side closes the connection, the other follows this many seconds after the FIN."""
    first.shutdown(socket.SHUT_WR)
    second.recv(1)
    net.sleep(pause)
    second.close()
    first.recv(1)
