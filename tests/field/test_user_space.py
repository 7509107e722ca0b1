"""A TCP peer that is a program's own, without a socket in its kernel: its states follow from its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import crafted
import pytest
from complaints import describe

if TYPE_CHECKING:
    from handshake_lab import Net, TransmittedSegment
    from handshake_lab.tcp.address import Address

pytestmark = pytest.mark.handshake(delay="5ms")

PORT = 80
ISN = 7_000
#: Of a host: its kernel, which has no socket at that port, must not reset what the program's own TCP accepts.
QUIET = (
    "add table ip quiet; add chain ip quiet out { type filter hook output priority 0; policy accept; }; "
    f"add rule ip quiet out tcp sport {PORT} tcp flags rst drop"
)


class OwnTcp:
    """The server's side of a connection, made of crafted segments."""

    def __init__(self, net: Net, syn: TransmittedSegment) -> None:
        self._net = net
        self._ends = syn.dst, syn.src
        self._seq, self._ack = ISN, syn.seq + 1

    def send(self, kind: str, payload: bytes = b"", *, takes: int = 0) -> None:
        """Send a segment, having taken that many more of the client's sequence numbers."""
        self._ack += takes
        crafted.send(self._net, "h2", *self._ends, kind, self._seq, self._ack, payload)
        self._seq += len(payload) + ("SYN" in kind) + ("FIN" in kind)
        self._net.sleep(0.1)  # the client may delay its ACK by 40 ms (TCP_DELACK_MIN)


def opened(net: Net) -> tuple[OwnTcp, Address]:
    """A handshake with a program's own TCP in h2; the client's address."""
    net.network["h2"].run(["nft", QUIET])
    net.h1.begin_connect((net.h2.ip, PORT))
    net.sleep(net.rtt)
    (syn,) = net.record().segments
    peer = OwnTcp(net, syn)
    peer.send("SYN-ACK")
    return peer, syn.src


def test_states_follow_from_segments(net: Net) -> None:
    """Data and both FINs: the server's endpoint goes from LISTEN to CLOSED, and the record states the evidence."""
    peer, client = opened(net)
    peer.send("ACK", b"hello")
    peer.send("FIN")
    (ours,) = [end for end in net.record().endpoints if end.local == client]
    if ours.states[-1] != "CLOSE-WAIT":
        pytest.fail(f"the FIN was to be accepted: {describe(net.record())}")
    theirs = next(end for end in net.record().endpoints if end.remote == client)

    assert theirs.states == [
        "CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
    ], describe(net.record())  # fmt: skip
    assert "derived from the segments" in str(theirs.transitions[-1].objection)


def test_a_handshake_alone_stays_what_it_is(net: Net) -> None:
    """Without a segment after the handshake, there is no evidence of a server of the connection."""
    _, client = opened(net)
    theirs = next(end for end in net.record().endpoints if end.remote == client)

    assert theirs.states[-1] == "SYN-RECEIVED", describe(net.record())
