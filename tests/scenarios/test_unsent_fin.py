"""States that a call enters although its FIN cannot be sent yet."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from handshake_lab import approx_trip, entered, exchange, judge, seconds, sent, sent_flags, tracepoint_steps
from tcp_steps import PORT, read_to_end

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="50ms")

#: Bytes: the smallest receive buffer of Linux, so that a window closes soon.
SMALL = 2_304
#: More bytes than both buffers can hold.
MUCH = 1_000_000


@pytest.mark.scenario(60)
def test_unsent_fin(net: Net) -> None:
    """RFC 9293, 3.10.4: FIN-WAIT-1 begins when shutdown() is called ("in any case"), even if the FIN has to wait.

    If the peer's window is closed, the FIN waits behind the data, and a FIN that arrives then leads to CLOSING. The
    comment in __tcp_close(), net/ipv4/tcp.c, expects ESTABLISHED and CLOSE-WAIT here. Only the capture shows it.
    """
    listener = net.h2.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    listener.bind((net.h2.ip, PORT))
    listener.listen()
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    client.setblocking(False)
    queued = client.send(bytes(MUCH))
    client.settimeout(60)
    net.recorder.wait_until(lambda: any(snapshot.timer == "persist" for snapshot in net.recorder.sockets("h1")), 60)
    began = seconds(net.clock.now())
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    read_to_end(client)
    net.wait_for_state(server, "FIN-WAIT-2")

    record = net.record()
    ours, theirs = net.history(client), net.history(server)
    taken = sum(segment.length for segment in sent(record, sender="h1"))
    assert taken < queued
    assert [segment.window for segment in sent(record, sender="h2")][-1] == 0
    assert [snapshot.timer for snapshot in net.h1.sockets()] == ["persist"]
    assert "FA" in sent_flags(record, sender="h2")
    assert [segment for segment in sent(record, sender="h1") if "F" in segment.flags] == []
    assert exchange(record, after=began)[0] == "h2 FA"
    assert entered(theirs, "FIN-WAIT-2") - entered(theirs, "FIN-WAIT-1") == approx_trip(net.rtt)
    assert ours.states[2:] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSING"]
    assert theirs.states[3:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert tracepoint_steps(net.observations, ours)[-2:] == ["ESTABLISHED→FIN-WAIT-1", "FIN-WAIT-1→CLOSING"]
    (unsent,) = [finding for finding in judge(record).findings if finding.message.code == "fin_queued"]
    assert (record.endpoints[unsent.endpoint].node, unsent.ok) == ("h1", None)
    assert any("h1" in finding.text and "had not sent its FIN" in finding.text for finding in judge(record).findings)
    assert judge(record).ok
