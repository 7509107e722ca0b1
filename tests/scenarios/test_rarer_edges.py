"""Edges of the diagram that no scenario of the catalogue takes.

Each test is named after the edge that it takes.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab import (
    EnvironmentUnsupported,
    State,
    approx_trip,
    endpoint,
    entered,
    exchange,
    seconds,
    sent,
    transition,
    witnesses,
)
from tcp_held import PORTS, hold
from tcp_internals import SHORT
from tcp_steps import PORT, errno_of, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="50ms")

ES, F1, F2, CG, LA = State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK

#: Counted over all namespaces, so only the initial one has it.
MAX_ORPHANS = Path("/proc/sys/net/ipv4/tcp_max_orphans")
#: From include/linux/socket.h; Python has no name for it.
MSG_FASTOPEN = 0x20000000
#: Seconds after which the orphans are counted again (TCP_ORPHAN_TIMER_PERIOD, net/ipv4/tcp.c), and a tick.
COUNTED_ANEW = 0.15


@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_max_tw_buckets": 0})
def test_edge_37_cg(net: Net) -> None:
    """tcp_max_tw_buckets: if the table is full there is no TIME-WAIT after CLOSING either.

    Source: tcp_time_wait(), net/ipv4/tcp_minisocks.c, called by tcp_rcv_state_process(); not part of RFC 9293, 3.6.
    """
    client, server, _ = open_connection(net)
    net.wait_for_state(server, "ESTABLISHED")
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    net.wait_until_gone(client)

    ours = net.history(client)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "37.CG"
    # The FIN and its ACK take one trip each; the peer's FIN may arrive at any time in between.
    assert entered(ours, "CLOSED") - entered(ours, "FIN-WAIT-1") == approx_trip(net.rtt)
    assert net.h1.counters()["TCPTimeWaitOverflow"] == 1
    assert net.h1.sockets() == []


def fast_open(net: Net, listener: RecordedSocket, data: bytes) -> None:
    """Connect h1, with data in the SYN if it has the listener's cookie; otherwise it requests one."""
    client = net.h1.socket()
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.sendto(data, MSG_FASTOPEN, listener.getsockname())


@pytest.mark.handshake(sysctls={"net.ipv4.tcp_fastopen": 3})
def test_edge_41b(net: Net) -> None:
    """RFC 7413, 4.2: a SYN with data and a valid cookie opens at once: its data is delivered before the handshake ends.

    Linux creates a full socket in SYN-RECEIVED (tcp_try_fastopen(), net/ipv4/tcp_fastopen.c), which the tracepoint
    reports; it would not report a request.
    """
    listener = net.h2.listen(PORT)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    fast_open(net, listener, b"")  # gets the cookie
    listener.accept()
    fast_open(net, listener, b"early")
    server, _ = listener.accept()
    data = server.recv(5)
    delivered = seconds(net.clock.now())
    net.wait_for_state(server, "ESTABLISHED")

    opened = net.history(server)
    asked, syn = sent(net.record(), "S")
    assert [step.edge for step in net.history(server).transitions] == ["1", "41b", "10"]
    assert witnesses(opened, "SYN-RECEIVED") >= {"tracepoint", "diag", "capture"}
    assert (asked.length, syn.length, data) == (0, 5, b"early")
    assert delivered - entered(opened, "SYN-RECEIVED") == approx_trip(0)
    assert seconds(opened.time_in("SYN-RECEIVED")) == approx_trip(net.rtt)


@contextlib.contextmanager
def no_orphans_allowed() -> Iterator[None]:
    """Set tcp_max_orphans = 0 while the block runs.

    Raises:
        EnvironmentUnsupported: This is not the kernel's first network namespace.
    """
    if not MAX_ORPHANS.exists():
        raise EnvironmentUnsupported("tcp_max_orphans can be set in the first namespace only", "Use --kernel lab")
    before = MAX_ORPHANS.read_text()
    MAX_ORPHANS.write_text("0")
    try:
        yield
    finally:
        MAX_ORPHANS.write_text(before)


@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_fin_timeout": 120})
@pytest.mark.parametrize(
    ("held", "state"),
    [
        pytest.param(ES, F1, id="43.F1"),
        pytest.param(F2, F2, id="43.F2"),
        pytest.param(CG, CG, id="43.CG"),
        pytest.param(State.CLOSE_WAIT, LA, id="43.LA"),
    ],
)
def test_edge_43_at_close(net: Net, held: State, state: State) -> None:
    """tcp_max_orphans: with too many orphans, close() resets a connection that would otherwise become an orphan.

    In FIN-WAIT-2 only if tcp_fin_timeout is above 60 s; otherwise it is a mini-socket and not an orphan
    (tcp_check_oom() in __tcp_close(), net/ipv4/tcp.c).
    """
    other = net.h2.listen(PORT + 1)
    first = net.h1.connect(other)
    uncaptured = net.drop("FIN", port=PORT + 1, from_="h1")
    first.close()
    assert uncaptured.wait()
    client = hold(net, held)
    net.sleep(COUNTED_ANEW)
    began = seconds(net.clock.now())
    with no_orphans_allowed():
        client.close()

    ours = net.history(client)
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"43.{SHORT[state]}"
    assert entered(ours, "CLOSED") - began == approx_trip(0)
    assert "RA" in [segment.flags for segment in sent(net.record(), sender="h1", of=ours)]
    assert net.h1.counters()["TCPAbortOnMemory"] == 1


@pytest.mark.parametrize(
    "state", [pytest.param(F1, id="43.F1"), pytest.param(CG, id="43.CG"), pytest.param(LA, id="43.LA")]
)
def test_edge_43_at_its_timer(net: Net, state: State) -> None:
    """tcp_max_orphans: with too many orphans, one is reset as soon as its FIN would have to be retransmitted.

    By the retransmission timer, not by the loss probe before it (tcp_out_of_resources(), net/ipv4/tcp_timer.c).
    """
    client = hold(net, state)
    client.close()
    net.sleep(COUNTED_ANEW)
    began = seconds(net.clock.now())
    with no_orphans_allowed():
        net.wait_until_gone(client, 10)

    ours = net.history(client)
    assert ours.states[-2:] == [state, "CLOSED"]
    assert transition(ours, "CLOSED").edge == f"43.{SHORT[state]}"
    assert [segment for segment in exchange(net.record(), after=began) if "R" in segment][:1] == ["h1 RA"]
    assert net.h1.counters()["TCPAbortOnMemory"] == 1


def refused_by_router(net: Net) -> None:
    """From now on, the router answers segments for h2 with "host unreachable"."""
    net.network["r1"].run(["ip", "route", "add", "unreachable", net.h2.ip])


@pytest.mark.handshake(topology="routed")
def test_edge_44_sr(net: Net) -> None:
    """RFC 9293, 3.9.2.2: an ICMP error also ends SYN-RECEIVED, here after a simultaneous open.

    "Host unreachable" is a soft error by RFC 1122, 4.2.3.9; before ESTABLISHED Linux ends the attempt for any error
    (tcp_v4_err(), net/ipv4/tcp_ipv4.c), when the SYN-ACK is retransmitted.
    """
    one = hold(net, State.SYN_RECEIVED)
    refused_by_router(net)
    one.setblocking(True)
    failure = errno_of(lambda: one.connect((net.h2.ip, PORTS[1])))

    ours = net.history(one)
    assert ours.states == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "CLOSED"]
    assert transition(ours, "CLOSED").edge == "44.SR"
    again = sent(net.record(), "SA", sender="h1")[-1]
    assert again.sent is not None
    assert entered(ours, "CLOSED") - seconds(again.sent) == approx_trip(net.one_way)
    assert again.lost
    assert failure == errno.EHOSTUNREACH


@pytest.mark.handshake(topology="routed")
def test_edge_44_sr_of_a_request(net: Net) -> None:
    """RFC 9293, 3.9.2.2: an ICMP error for its SYN-ACK ends a request (tcp_req_err(), net/ipv4/tcp_ipv4.c).

    "Host unreachable" is a soft error by RFC 1122, 4.2.3.9; only it and "network unreachable" end a request. No program
    is notified, and no observer sees the reason: only the counter of connections that a listener dropped shows it.
    """
    net.network["r1"].run(["ip", "route", "add", "unreachable", net.h1.ip])
    net.h2.listen(PORT)
    client = net.h1.begin_connect(("h2", PORT))
    net.sleep(2 * net.rtt)
    client.close()

    request = endpoint(net.record(), "h2", "server")
    assert request.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "CLOSED"]
    assert transition(request, "CLOSED").edge == "44.SR"
    assert (net.h2.counters()["ListenDrops"], net.h2.counters().get("ListenOverflows", 0)) == (1, 0)


def test_edge_3(net: Net) -> None:
    """RFC 9293, 3.10.4: CLOSE in LISTEN deletes the TCB without sending a segment (__tcp_close(), net/ipv4/tcp.c)."""
    listener = net.h2.listen(PORT)
    net.wait_for_state(listener, "LISTEN")
    began = seconds(net.clock.now())
    listener.close()

    ours = net.history(listener)
    assert [step.edge for step in ours.transitions] == ["1", "3"]
    assert witnesses(ours, "CLOSED") >= {"tracepoint", "application"}
    assert entered(ours, "CLOSED") - began == approx_trip(0)
    assert exchange(net.record()) == []
    assert net.h2.sockets() == []
