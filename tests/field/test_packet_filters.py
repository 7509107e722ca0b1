"""Packet filters of hosts: what they drop or send is neither the socket's doing nor a contradiction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from complaints import describe, last
from handshake_lab import judge
from tcp_steps import abort, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="5ms")

INPUT = "add table ip f; add chain ip f in {{ type filter hook input priority 0; }}; add rule ip f in {}"


def test_a_reset_by_a_filter(net: Net) -> None:
    """h2's filter answers in the name of its socket, which stays ESTABLISHED: nothing is held against the kernel."""
    client, server, _ = open_connection(net)
    net.h2.run(["nft", INPUT.format("tcp dport 80 reject with tcp reset")])
    client.send(b"refused")
    net.sleep(1)
    theirs = net.history(server)

    assert last(net.history(client)) == ("26.ES", "reset")
    assert theirs.states[-1] == "ESTABLISHED"
    assert theirs.transitions[-1].objection is None, describe(net.record())
    assert any("is ESTABLISHED, but its peer" in finding.text for finding in judge(net.record()).findings)


def test_a_reset_that_a_filter_drops(net: Net) -> None:
    """h1 captured the RST, its filter dropped it: the objection leaves that open, and does not make a deviation."""
    client, server, _ = open_connection(net)
    net.h1.run(["nft", INPUT.format("tcp flags rst drop")])
    abort(server)
    net.sleep(1)
    ours = net.history(client)

    assert ours.states[-1] == "ESTABLISHED"
    assert "unless its host discarded it" in str(ours.transitions[-1].objection)
    assert judge(net.record()).ok


@pytest.mark.handshake(topology="routed", delay="5ms")
def test_a_segment_that_is_sent_again_while_it_is_on_its_way(net: Net) -> None:
    """An ICMP error makes the sender repeat all that is in flight: no timer has expired, so none is named."""
    net.network["r1"].run(["ip", "link", "set", "r1-eth1", "mtu", "1000"])
    client, _, _ = open_connection(net)
    client.sendall(bytes(5000))
    net.sleep(1)
    reasons = [finding.text for finding in judge(net.record()).findings if "retransmitted" in finding.text]

    assert any("because it was still on its way" in each for each in reasons), describe(net.record())
    assert not any("timer" in each for each in reasons)
