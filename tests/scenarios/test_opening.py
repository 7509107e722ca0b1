"""Opening a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.experiment.world import World


@pytest.mark.network(delay="50ms")
def test_three_way_handshake(net: World) -> None:
    """RFC 9293, figure 6: SYN, SYN-ACK, ACK; the client is ESTABLISHED after one RTT, the server half an RTT later."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert net.history(server).states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert net.history(client).time_in("SYN-SENT") / 1e9 == pytest.approx(net.rtt, abs=1e-4)
    assert [passage.flags for passage in net.record().passages] == ["S", "SA", "A"]


@pytest.mark.network(delay="50ms")
def test_syn_lost_1(net: World) -> None:
    """RFC 6298, 2.1: the first SYN is lost, and sent again after one second."""
    net.drop("SYN", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert 1.0 <= net.history(client).time_in("SYN-SENT") / 1e9 - net.rtt <= 1.13


@pytest.mark.network(delay="50ms", faults="drop SYN nth=9 from h1")
def test_fault_never(net: World) -> None:
    """never."""
    net.h1.connect(net.h2.listen(80))
