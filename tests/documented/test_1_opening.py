"""C1 to C11: opening a connection."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from claim_measures import connected, distance, flags, ms, next_numbers, read, segments
from handshake_lab import approx_timer, approx_trip, entered, seconds
from handshake_lab.experiment.timed_socket import DEFAULT_TIMEOUT
from handshake_lab.recording.observations import StateChange

if TYPE_CHECKING:
    from documented.conftest import Claim
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

FAST_OPEN = {"net.ipv4.tcp_fastopen": "3"}
_MSG_FASTOPEN = 0x20000000
_ABORT = struct.pack("ii", 1, 0)


def fast_open(net: Net, listener: RecordedSocket, data: bytes) -> RecordedSocket:
    """A client whose SYN carries data if it has the server's cookie, and requests one otherwise (RFC 7413)."""
    client = net.h1.socket()
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.sendto(data, _MSG_FASTOPEN, net.resolve(listener))
    client.settimeout(DEFAULT_TIMEOUT)
    return client


@pytest.mark.claim("C1")
@pytest.mark.handshake(sysctls=FAST_OPEN)
def test_c01_no_data_before_three_segments(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5, figure 6: data follows the three segments; with Fast Open (RFC 7413, off unless both
    programs request it) Linux sends data in the SYN and delivers it before the third segment is sent.
    """
    listener, client, server = connected(net)
    client.sendall(b"request")
    read(server, 7)
    ordinary = segments(net, client)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    fast_open(net, listener, b"request")
    listener.accept()
    client = fast_open(net, listener, b"request")
    server, _ = listener.accept()
    early = read(server, 7)
    delivered = net.clock.now()
    net.settle()
    syn, _, third = segments(net, client)

    assert flags(ordinary)[:4] == ["S", "SA", "A", "PA"]
    assert [each.length for each in ordinary[:4]] == [0, 0, 0, 7]
    assert (syn.flags, syn.length, early) == ("S", 7, b"request")
    assert delivered < third.sent
    claim.holds_with_a_nuance(
        data=ms(seconds(ordinary[3].sent - ordinary[0].sent)),
        bytes=syn.length,
        early=ms(seconds(delivered - syn.sent)),
    )


@pytest.mark.claim("C2")
def test_c02_first_segment(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5: SYN and no ACK; its sequence number is the ISN, from which the client's data is counted."""
    _, client, server = connected(net)
    client.sendall(b"request")
    read(server, 7)
    syn, _, _, data = segments(net, client)[:4]

    assert (syn.sender, syn.flags, syn.ack, syn.length) == ("h1", "S", 0, 0)
    assert distance(syn.seq, data.seq) == 1
    claim.holds(isn=syn.seq, data=data.seq)


@pytest.mark.claim("C3")
def test_c03_second_segment(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5: SYN and ACK, the server's own ISN, and the client's ISN + 1 acknowledged; if both sides
    connect at the same time (figure 7), the second is a SYN like the first, and there are two SYN-ACKs: four segments.
    """
    _, client, _ = connected(net)
    syn, syn_ack, _ = segments(net, client)
    one = net.h1.begin_connect(("h2", 5001), port=5000)
    other = net.h2.begin_connect(("h1", 5000), port=5001)
    net.wait_for_state(one, "ESTABLISHED")
    net.wait_for_state(other, "ESTABLISHED")
    both = segments(net, one)[:4]

    assert (syn_ack.sender, syn_ack.flags, syn_ack.length) == ("h2", "SA", 0)
    assert distance(syn.seq, syn_ack.ack) == 1
    assert syn_ack.seq != syn.seq
    assert sorted((each.sender, each.flags) for each in both) == [("h1", "S"), ("h1", "SA"), ("h2", "S"), ("h2", "SA")]
    claim.holds_with_a_nuance(client=syn.seq, ack=syn_ack.ack, server=syn_ack.seq, both=", ".join(flags(both)))


@pytest.mark.claim("C4")
def test_c04_third_segment(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5: ACK and no SYN, the server's ISN + 1 acknowledged."""
    _, client, _ = connected(net)
    syn, syn_ack, ack = segments(net, client)

    assert (ack.sender, ack.flags, ack.length) == ("h1", "A", 0)
    assert distance(syn_ack.seq, ack.ack) == 1
    assert distance(syn.seq, ack.seq) == 1
    claim.holds(server=syn_ack.seq, ack=ack.ack)


@pytest.mark.claim("C5")
def test_c05_syn_sent(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.3.2: SYN-SENT from the SYN until its answer, one round trip; one second longer if
    the SYN is lost and retransmitted (RFC 6298, 2.1).
    """
    _, client, _ = connected(net)
    waited = seconds(net.history(client).time_in("SYN-SENT"))
    syn = segments(net, client)[0]
    net.drop("SYN", nth=1, from_="h1")
    _, late, _ = connected(net, 81)
    lost = seconds(net.history(late).time_in("SYN-SENT"))

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert seconds(syn.sent) - entered(net.history(client), "SYN-SENT") == approx_trip(0)
    assert waited == approx_trip(net.rtt)
    assert net.history(late).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert lost == approx_timer(1.0, plus=net.rtt)
    claim.holds(rtt=ms(net.rtt), waited=ms(waited), lost=ms(lost))


@pytest.mark.claim("C6")
def test_c06_listen_to_syn_received(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.3.2: LISTEN to SYN-RECEIVED. In Linux the listening socket stays in LISTEN and a request
    socket represents SYN-RECEIVED, which the tracepoint reports only after the ACK has arrived; with SYN cookies
    (net.ipv4.tcp_syncookies=2) no socket represents it.
    """
    net.drop("ACK", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    net.sleep(net.rtt)
    waiting = sorted((snapshot.state, snapshot.inode != 0) for snapshot in net.h2.sockets())
    named_early = [seen for seen in net.observations if _names_syn_received(seen)]
    client.sendall(b"request")
    server, _ = listener.accept()
    net.h2.sysctl("net.ipv4.tcp_syncookies", 2)
    net.h1.begin_connect(listener)
    net.sleep(net.rtt)
    with_cookies = [snapshot.state for snapshot in net.h2.sockets() if snapshot.cookie != server.cookie]
    named = seconds(next(seen.t for seen in net.observations if _names_syn_received(seen)))
    history = net.history(server)

    assert waiting == [("LISTEN", True), ("SYN-RECEIVED", False)]
    assert named_early == []
    assert history.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert entered(history, "ESTABLISHED") - named == approx_trip(0)
    assert with_cookies == ["LISTEN"]
    claim.holds_with_a_nuance(waited=ms(seconds(history.time_in("SYN-RECEIVED"))))


def _names_syn_received(seen: object) -> bool:
    return isinstance(seen, StateChange) and seen.new == "SYN-RECEIVED"


@pytest.mark.claim("C7")
def test_c07_who_is_established_when(net: Net, claim: Claim) -> None:
    """RFC 9293, figure 6: the client after one round trip, the server half a round trip later; if the third segment
    is lost, the first data segment, with the same acknowledgment, makes the server ESTABLISHED (tcp_check_req()).
    """
    _, client, server = connected(net)
    net.sleep(net.rtt)
    start = seconds(segments(net, client)[0].sent)
    at_client = entered(net.history(client), "ESTABLISHED") - start
    at_server = entered(net.history(server), "ESTABLISHED") - start
    net.drop("ACK", nth=1, from_="h1")
    listener = net.h2.listen(81)
    client = net.h1.connect(listener)
    net.sleep(0.2)
    client.sendall(b"request")
    server, _ = listener.accept()
    third, fourth = segments(net, client)[2:4]

    assert at_client == approx_trip(net.rtt)
    assert at_server == approx_trip(1.5 * net.rtt)
    assert (third.flags, third.lost) == ("A", True)
    assert (fourth.flags, fourth.length) == ("PA", 7)
    assert entered(net.history(server), "ESTABLISHED") - seconds(fourth.received) == approx_trip(0)
    claim.holds_with_a_nuance(
        client=ms(at_client), server=ms(at_server), late=ms(seconds(fourth.received - third.sent))
    )


@pytest.mark.claim("C8")
def test_c08_both_sequence_numbers_synchronized(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5: after the handshake, each side expects exactly the number that the other sends next."""
    _, client, server = connected(net)
    syn, syn_ack, _ = segments(net, client)
    client_sends, client_expects = next_numbers(client)
    server_sends, server_expects = next_numbers(server)

    assert (net.history(client).states[-1], net.history(server).states[-1]) == ("ESTABLISHED", "ESTABLISHED")
    assert client_sends == server_expects == (syn.seq + 1) % 2**32
    assert server_sends == client_expects == (syn_ack.seq + 1) % 2**32
    claim.holds(client=client_sends, server=server_sends)


@pytest.mark.handshake_slow
@pytest.mark.claim("C9")
def test_c09_isns_are_random(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.4.1 and RFC 6528: a clock of 64 ns plus a keyed hash of the four-tuple (secure_tcp_seq()):
    it cannot be guessed from another connection's, but for the same four-tuple it only advances with the clock.
    """
    count = 20
    listener = net.h2.listen(80)
    isns = [_isns_of_a_connection(net, listener) for _ in range(count)]
    same_ends = [_isns_of_a_connection(net, listener, from_port=5000)]
    net.sleep(10.0)
    same_ends.append(_isns_of_a_connection(net, listener, from_port=5000))
    spread = [
        min(distance(one, other), distance(other, one))
        for side in (0, 1)
        for one, other in pairwise(_without_clock(*isn[side]) for isn in isns)
    ]
    moved = [distance(before[0], after[0]) for before, after in zip(*same_ends, strict=True)]
    passed = [after[1] - before[1] for before, after in zip(*same_ends, strict=True)]

    assert len({isn for both in isns for isn, _ in both}) == 2 * count
    # By chance, one of 32,768 guesses is within 65,535 of the true value.
    assert sum(miss < 1 << 16 for miss in spread) <= 1
    assert moved == pytest.approx([nanoseconds / 64 for nanoseconds in passed], abs=1e6 / 64)
    claim.holds_with_a_nuance(count=count, nearest=min(spread), moved=moved[0], seconds=round(passed[0] / 1e9, 3))


def _isns_of_a_connection(net: Net, listener: RecordedSocket, *, from_port: int = 0) -> list[tuple[int, int]]:
    """The client's ISN and the server's, each with the time at which it was sent; the connection is then aborted."""
    client = net.h1.begin_connect(listener, port=from_port)
    listener.accept()
    syn, syn_ack = segments(net, client)[:2]
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    client.close()
    return [(syn.seq, syn.sent), (syn_ack.seq, syn_ack.sent)]


def _without_clock(isn: int, sent: int) -> int:
    return (isn - sent // 64) % 2**32


@pytest.mark.claim("C10")
@pytest.mark.handshake(sysctls=FAST_OPEN)
def test_c10_data_only_after_three_steps(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.5: without the third step the server accepts nothing; in Linux the first data segment can
    replace it, and with Fast Open the server answers before it (RFC 7413, 4.2).
    """
    net.drop("ACK", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        listener.accept()
    client.sendall(b"request")
    server, _ = listener.accept()
    delivered = read(server, 7)
    carried = segments(net, client)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    fast_open(net, listener, b"request")
    listener.accept()
    client = fast_open(net, listener, b"request")
    server, _ = listener.accept()
    server.sendall(b"answer")
    answered = net.clock.now()
    read(client, 6)
    net.settle()
    opened = segments(net, client)
    third = next(each for each in opened if each.flags == "A" and each.sender == "h1")

    assert [(each.flags, each.lost) for each in carried[2:4]] == [("A", True), ("PA", False)]
    assert delivered == b"request"
    assert answered < third.sent
    assert [each.flags for each in opened if each.sent < third.sent] == ["S", "SA", "PA"]
    claim.holds_with_a_nuance(waited=500, early=ms(seconds(third.received - answered)))


@pytest.mark.claim("C11")
def test_c11_names_of_states(net: Net, claim: Claim) -> None:
    """RFC 9293, 3.3.2, calls them LISTEN, SYN-RECEIVED, ESTABLISHED, CLOSED; they are states of connections, not of
    ports: in Linux a port can have three of them at once; CLOSED means no socket (or one that does not listen).
    """
    net.drop("ACK", nth=2, from_="h1")
    listener = net.h2.listen(80)
    net.h1.connect(listener)
    listener.accept()
    net.h1.connect(listener)
    net.sleep(net.rtt)
    shown = net.h2.run(["ss", "-Htan"]).stdout
    bound = net.h2.socket()
    bound.bind((net.h2.ip, 81))
    refused = {port: _is_refused(net, port) for port in (81, 82)}
    answers = [each.flags for each in net.record().segments if each.src.port in refused]

    assert sorted(re.findall(r"^(\S+).* 10\.0\.0\.2:80 ", shown, re.MULTILINE)) == ["ESTAB", "LISTEN", "SYN-RECV"]
    assert sorted(snapshot.state for snapshot in net.h2.sockets()) == ["ESTABLISHED", "LISTEN", "SYN-RECEIVED"]
    assert refused == {81: True, 82: True}
    assert answers == ["RA", "RA"]
    claim.holds_with_a_nuance(answer="RST-ACK")


def _is_refused(net: Net, port: int) -> bool:
    try:
        net.h1.connect(("h2", port))
    except ConnectionRefusedError:
        return True
    return False
