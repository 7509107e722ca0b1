"""On the lab kernel: every topology connects the hosts that it should, and no other frames are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Topology, from, to, port; the address the server sees (or the error), and after how many ms at a one-way delay of 20.
REACHED = [
    ("pair", "h1", "h2", 80, "10.0.0.1", 40.0),
    ("pair,ipv6=true", "h1", "h2", 80, "fd00::1", 40.0),
    ("star,5", "h2", "h5", 80, "10.0.0.2", 40.0),
    ("chain,4", "h1", "h2", 80, "10.0.0.1", 40.0),
    ("dumbbell,2,3", "h1", "h2", 80, "10.0.0.1", 0.0),
    ("dumbbell,2,3", "h2", "h5", 80, "10.0.0.2", 40.0),
    ("routed", "h1", "h2", 80, "10.0.1.2", 40.0),
    ("routed,ipv6=true", "h2", "h1", 80, "fd00:2::2", 40.0),
    ("firewall", "h1", "h2", 80, "10.0.1.2", 40.0),
    ("firewall", "h2", "h1", 1234, "10.0.2.2", 40.0),
    ("firewall", "h1", "h2", 81, "TimeoutError", 2000.0),
    ("firewall,81", "h1", "h2", 81, "10.0.1.2", 40.0),
    ("firewall,80,reset", "h1", "h2", 81, "ConnectionRefusedError 111", 20.0),
    ("firewall,80,prohibited", "h1", "h2", 81, "OSError 113", 20.0),
    ("firewall,80,prohibited,ipv6=true", "h1", "h2", 81, "PermissionError 13", 20.0),
    ("nat", "h1", "h2", 80, "203.0.113.1", 40.0),
    ("nat", "h2", "h1", 80, "TimeoutError", 2000.0),
]


def test_every_topology_connects_whom_it_should(do: Callable[..., Any]) -> None:
    """From the first segment on, after exactly one round trip: no ARP, no wait for links."""
    found = do("reach", [row[:4] for row in REACHED])
    reported = [[result, round(taken / 10) * 10.0] for result, taken in found]

    assert [list(row[4:]) for row in REACHED] == reported


def test_nothing_moves_unless_someone_sends(do: Callable[..., Any]) -> None:
    """No frame in two minutes: no ARP, no neighbour discovery, no spanning tree, no multicast."""
    wanted = ["pair", "pair,ipv6=true", "chain,3", "routed,ipv6=true", "nat"]

    assert {name: [] for name in wanted} == do("quiet", wanted)


def test_programs_find_names_namespaces_and_settings(do: Callable[..., Any]) -> None:
    """``ip netns exec h1``, ``getent hosts h2``, sysctls for all hosts or one, neighbours known beforehand."""
    found = do("named")

    assert {"h1", "h2", "middle"} <= set(found["netns"])
    assert "10.0.0.1/8" in found["exec"]
    assert (found["hosts"], found["resolved"]) == ("10.0.0.2", "10.0.0.1")
    assert found["timeouts"] == ["7", "7"]
    assert found["cookies"][1] == "0" != found["cookies"][0]
    assert found["mesh"][:4] == ["10.0.0.2", "dev", "h1-eth0", "lladdr"]
    assert "PERMANENT" in found["mesh"]


def test_five_hundred_hosts_come_up(do: Callable[..., Any]) -> None:
    """And the first host reaches the last."""
    assert do("many_hosts", 500, memory=1024) == "10.0.0.1"
