"""The edges of the state diagram that no scenario of the catalogue takes: the same events in the other states.

A connection is brought into a state, with h1's socket still in its program's hands; then something happens to it.
"""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tcp_steps import PORT, errno_of, open_connection, read_to_end

from harness.expect import approx_timer, approx_trip, endpoint, entered, exchange, seconds, sockets_in, transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.experiment.sockets import RecordedSocket
    from harness.experiment.world import World

pytestmark = pytest.mark.network(delay="50ms")

PORTS = (4001, 4002)
#: struct linger: on, for 0 seconds.
ABORT = struct.pack("ii", 1, 0)
USER_TIMEOUT = 3.0


def syn_sent(net: World) -> RecordedSocket:
    """h1's SYN is answered by nobody."""
    net.drop("SYN", from_="h1")
    return net.h1.begin_connect(("h2", PORT))


def syn_received(net: World) -> RecordedSocket:
    """Both opened at once, and nothing that acknowledges h1's SYN arrives."""
    net.drop("SYN-ACK", from_="h2")
    net.drop("ACK", from_="h2", optional=True)
    ours = net.h1.begin_connect(("h2", PORTS[1]), port=PORTS[0])
    net.h2.begin_connect(("h1", PORTS[0]), port=PORTS[1])
    return ours


def fin_wait_1(net: World) -> RecordedSocket:
    """h1 sent its FIN, and the ACK is lost."""
    ours, theirs, _ = open_connection(net)
    net.wait_for_state(theirs, "ESTABLISHED")
    net.drop("ACK", from_="h2")
    ours.shutdown(socket.SHUT_WR)
    read_to_end(theirs)
    return ours


def fin_wait_2(net: World) -> RecordedSocket:
    """h1 sent its FIN, and h2 does not close."""
    ours, theirs, _ = open_connection(net)
    ours.shutdown(socket.SHUT_WR)
    read_to_end(theirs)
    return ours


def close_wait(net: World) -> RecordedSocket:
    """h2 sent its FIN, and h1 does not close."""
    ours, theirs, _ = open_connection(net)
    theirs.shutdown(socket.SHUT_WR)
    read_to_end(ours)
    return ours


def closing(net: World) -> RecordedSocket:
    """Both sent their FINs at once, and the ACK of h1's is lost."""
    ours, theirs, _ = open_connection(net)
    net.wait_for_state(theirs, "ESTABLISHED")
    net.drop("ACK", from_="h2")
    ours.shutdown(socket.SHUT_WR)
    theirs.shutdown(socket.SHUT_WR)
    return ours


def last_ack(net: World) -> RecordedSocket:
    """h2 closed first, then h1, and the last ACK is lost."""
    ours, theirs, _ = open_connection(net)
    theirs.shutdown(socket.SHUT_WR)
    read_to_end(ours)
    net.drop("ACK", from_="h2")
    ours.shutdown(socket.SHUT_WR)
    read_to_end(theirs)
    return ours


STATES: dict[str, tuple[str, Callable[[World], RecordedSocket]]] = {
    "SYN-SENT": ("SS", syn_sent),
    "SYN-RECEIVED": ("SR", syn_received),
    "FIN-WAIT-1": ("F1", fin_wait_1),
    "FIN-WAIT-2": ("F2", fin_wait_2),
    "CLOSE-WAIT": ("CW", close_wait),
    "CLOSING": ("CG", closing),
    "LAST-ACK": ("LA", last_ack),
}


def reach(net: World, state: str) -> tuple[RecordedSocket, float]:
    """Bring h1's socket into a state; returns it, and when all was quiet there."""
    ours = STATES[state][1](net)
    assert net.wait_for_state(ours, state)
    net.settle()
    return ours, seconds(net.clock.now())


def left(net: World, ours: RecordedSocket, state: str) -> str | None:
    """The edge by which h1's socket went from a state to CLOSED, and nowhere else."""
    assert net.wait_until_gone(ours)
    history = net.history(ours)

    assert history.states[-2:] == [state, "CLOSED"]
    return transition(history, "CLOSED", history.states[1:].count("CLOSED")).edge


@pytest.mark.parametrize("state", ["SYN-RECEIVED", "CLOSING", "LAST-ACK"])
def test_exact_reset(net: World, state: str) -> None:
    """RFC 9293, 3.10.7.4: a RST with exactly the next sequence number ends the connection in every state."""
    ours, began = reach(net, state)
    net.inject("RST", to="h1")

    assert left(net, ours, state) == f"26.{STATES[state][0]}"
    assert exchange(net.record(), after=began) == []


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_inexact_reset(net: World, state: str) -> None:
    """RFC 5961, 3.2: a RST that is in the window but not exact is answered by a challenge ACK, and changes nothing."""
    ours, began = reach(net, state)
    net.inject("RST", to="h1", seq=+1)
    net.sleep(net.rtt)

    assert net.history(ours).states[-1] == state
    assert "h1 A" in exchange(net.record(), after=began)
    assert net.h1.counters()["TCPChallengeACK"] == 1


@pytest.mark.parametrize("state", ["SYN-RECEIVED", "FIN-WAIT-1", "CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_abort(net: World, state: str) -> None:
    """RFC 9293, 3.10.5: ABORT sends a RST, but where both sides have sent their FINs: there only the state goes.

    Linux sends one in CLOSING and LAST-ACK too if its FIN has not left yet (tcp_disconnect(), net/ipv4/tcp.c).
    """
    ours, began = reach(net, state)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    ours.close()

    assert left(net, ours, state) == f"27.{STATES[state][0]}"
    reset = [] if state in ("CLOSING", "LAST-ACK") else ["h1 RA"]
    assert [sent for sent in exchange(net.record(), after=began) if "R" in sent] == reset


@pytest.mark.parametrize("state", ["SYN-RECEIVED", "CLOSE-WAIT", "CLOSING"])
def test_user_timeout(net: World, state: str) -> None:
    """RFC 9293, 3.10.8, tcp(7): what is not acknowledged within TCP_USER_TIMEOUT ends the connection, in any state."""
    ours, _ = reach(net, state)
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT * 1000))
    if state == "CLOSE-WAIT":
        net.drop("ACK", from_="h2")
        ours.sendall(b"unheard")

    assert left(net, ours, state) == f"29.{STATES[state][0]}"
    assert errno_of(lambda: ours.recv(1)) in (errno.ETIMEDOUT, None)


def test_keepalive_in_fin_wait_2(net: World) -> None:
    """RFC 9293, 3.8.4: FIN-WAIT-2 of a held socket lasts for ever, but for keepalive: a silent peer ends it."""
    ours, began = reach(net, "FIN-WAIT-2")
    net.drop("any", from_="h2")
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
        ours.setsockopt(socket.IPPROTO_TCP, option, value)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    assert left(net, ours, "FIN-WAIT-2") == "29.F2"
    assert entered(net.history(ours), "CLOSED") - began == approx_timer(4.0)
    assert [sent for sent in exchange(net.record(), after=began) if "h1" in sent] == [*["h1 A"] * 3, "h1 RA"]


@pytest.mark.parametrize("state", ["SYN-SENT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_destroyed(net: World, state: str) -> None:
    """ss(8), -K: an administrator takes a socket away in any state; its peer is told where ABORT would tell it."""
    ours, _ = reach(net, state)
    net.h1.run(["ss", "-K", "state", "all", "dport", "=", f":{PORT}"])

    assert left(net, ours, state) == f"42.{STATES[state][0]}"
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"])
def test_too_many_orphans(net: World, state: str) -> None:
    """net.ipv4.tcp_max_orphans: a socket that its program closes is reset at once where no more may be left over.

    The setting is the whole kernel's, not a host's; orphans are counted ten times a second (tcp_orphan_update(),
    net/ipv4/tcp.c). In FIN-WAIT-2, a socket that is to wait no longer than 60 s becomes a mini-socket before.
    """
    net.h1.sysctl("net.ipv4.tcp_fin_timeout", 90)
    net.drop("FIN", from_="h1", port=PORT + 1)
    net.h1.connect(net.h2.listen(PORT + 1)).close()
    ours, _ = reach(net, state)
    Path("/proc/sys/net/ipv4/tcp_max_orphans").write_text("0")
    closed = seconds(net.clock.now())
    ours.close()

    assert left(net, ours, state) == f"43.{STATES[state][0]}"
    assert entered(net.history(ours), "CLOSED") - closed == approx_trip(0)
    assert net.h1.counters()["TCPAbortOnMemory"] >= 1


@pytest.mark.network(sysctls={"h1:net.ipv4.tcp_max_tw_buckets": 0})
def test_time_wait_overflow_in_closing(net: World) -> None:
    """net.ipv4.tcp_max_tw_buckets: where TIME-WAIT may hold nobody, CLOSING ends without it."""
    ours, theirs, _ = open_connection(net)
    net.wait_for_state(theirs, "ESTABLISHED")
    ours.shutdown(socket.SHUT_WR)
    theirs.shutdown(socket.SHUT_WR)

    assert left(net, ours, "CLOSING") == "37.CG"
    assert net.h1.counters()["TCPTimeWaitOverflow"] == 1


def test_listener_closed(net: World) -> None:
    """RFC 9293, 3.10.4: CLOSE in LISTEN deletes the TCB, and nobody hears of it."""
    listener = net.h2.listen(PORT)
    listener.close()

    history = endpoint(net.record(), "h2", "listener")
    assert history.states == ["CLOSED", "LISTEN", "CLOSED"]
    assert [step.edge for step in history.transitions] == ["1", "3"]
    assert exchange(net.record()) == []


#: Fast Open by client and server, without a cookie having been asked for before (ip-sysctl.rst).
FAST_OPEN = 0x1 | 0x2 | 0x4 | 0x200 | 0x400


@pytest.mark.network(sysctls={"net.ipv4.tcp_fastopen": FAST_OPEN})
def test_fast_open(net: World) -> None:
    """RFC 7413: data on the SYN reaches the program before the handshake is over; in Linux by a socket in SYN-RECEIVED.

    RFC 9293, 3.10.7.2, lets data on a SYN be kept until ESTABLISHED only.
    """
    listener = net.h2.listen(PORT)
    client = net.h1.socket()
    client.sendto(b"early", socket.MSG_FASTOPEN, (net.h2.ip, PORT))
    server, _ = listener.accept()
    assert server.recv(5) == b"early"
    read = seconds(net.clock.now())
    net.wait_for_state(server, "ESTABLISHED")

    history = net.history(server)
    assert history.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert transition(history, "SYN-RECEIVED").edge == "41b"
    assert read < entered(history, "ESTABLISHED")


@pytest.mark.network(topology="routed")
def test_icmp_in_syn_received(net: World) -> None:
    """RFC 9293, 3.9.2.2: an ICMP error for its SYN-ACK ends a request (tcp_req_err(), net/ipv4/tcp_ipv4.c).

    By RFC 1122, 4.2.3.9, "host unreachable" is soft; Linux takes just this and "network unreachable" for the end.
    """
    net.network["r1"].run(["ip", "route", "add", "unreachable", net.h1.ip])
    net.h2.listen(PORT)
    client = net.h1.begin_connect(("h2", PORT))
    net.sleep(2 * net.rtt)
    client.close()

    history = endpoint(net.record(), "h2", "server")
    assert history.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert transition(history, "CLOSED", 1).edge == "44.SR"
    assert sockets_in(net.h2.sockets(), "SYN-RECEIVED") == []
