"""Hosts on the left, hosts on the right, a bottleneck link between them.

    h1 ─┐                  ┌─ h(n+1)
    h2 ─┼─ s1 ════════ s2 ─┼─ h(n+2)
    hn ─┘   bottleneck     └─ h(n+m)

Stock Mininet runs it too: ``mn --custom topologies/dumbbell.py --topo dumbbell,2,2,bw=10 --link tc``
"""

from __future__ import annotations

from mininet.topo import Topo


class Dumbbell(Topo):  # type: ignore[misc] # Mininet has no types
    """A topology in which flows compete: n hosts, a bottleneck, m hosts.

    Args:
        n: How many hosts are on the left: h1 to hn.
        m: How many are on the right.
        ipv6: Whether the hosts also have IPv6 addresses, to which their names then resolve.
        impairment: The impairment of every segment on the bottleneck, in both directions, as
            for ``pair``: ``rate="10mbit"``, ``limit=20``.
    """

    #: The link to which ``--link`` without a place applies.
    bottleneck = (("s1", "s2"),)

    def build(self, n: int = 2, m: int = 2, *, ipv6: bool = False, **impairment: object) -> None:
        """Create the hosts, the two switches and the bottleneck."""
        for name in ("s1", "s2"):
            self.addSwitch(name)
        for number in range(1, n + m + 1):
            host = self.addHost(f"h{number}", **({"ip6": f"fd00::{number:x}/64"} if ipv6 else {}))
            self.addLink(host, "s1" if number <= n else "s2")
        self.addLink("s1", "s2", params1=impairment, params2=impairment)


topos = {"dumbbell": Dumbbell}
