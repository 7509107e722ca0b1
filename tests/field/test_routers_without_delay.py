"""Through routers on links without delay everything happens at one time; segments are still whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import judge
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net


def crafted_or_lost(net: Net) -> list[str]:
    """Segments that are said to come from nobody or to be lost, although nothing in the network does either."""
    return [
        f"#{each.number} {each.name}" for each in net.record().segments if each.sent is None or each.lost or each.copies
    ]


TOPOLOGIES = ("routed", "nat", "firewall", "chain", "chain,routers=3")


@pytest.mark.parametrize(
    "topology", [pytest.param(each, marks=pytest.mark.handshake(topology=each)) for each in TOPOLOGIES]
)
def test_what_routers_forward_at_once_is_one_segment(net: Net, topology: str) -> None:
    """Nothing is crafted by a router, lost, or retransmitted."""
    client, server, _ = open_connection(net)
    client.sendall(b"GET")
    server.recv(10)
    server.sendall(b"OK")
    client.recv(10)
    client.close()
    server.close()
    net.sleep(1)

    record = net.record()
    assert crafted_or_lost(net) == [], topology
    assert {each.sender for each in record.segments} == {"h1", "h2"}
    assert not any(each.retransmits for each in record.segments)
    assert judge(record).ok
