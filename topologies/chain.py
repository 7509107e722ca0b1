"""Two hosts with a row of switches between them.

    h1 ─── s1 ─── s2 ─── … ─── sn ─── h2

Stock Mininet runs it too: ``mn --custom topologies/chain.py --topo chain,4``
"""

from __future__ import annotations

import itertools

from mininet.topo import Topo


class Chain(Topo):  # type: ignore[misc] # Mininet has no types
    """Two hosts, and switches s1 to sn in a row between them.

    The path is impaired once each way, at the last switch before the receiver, so ``delay``
    is its one-way delay however many switches there are; links between switches are impaired
    one by one: ``--link "s1-s2:delay=10ms"``.

    Args:
        n: How many switches.
        ipv6: Whether the hosts have IPv6 addresses too, which their names then stand for.
        impairment: What happens to every segment, each way, as for ``pair``.
    """

    def build(self, n: int = 3, *, ipv6: bool = False, **impairment: object) -> None:
        """Make the hosts and the switches."""
        for number in (1, 2):
            self.addHost(f"h{number}", **({"ip6": f"fd00::{number}/64"} if ipv6 else {}))
        switches = [self.addSwitch(f"s{number}") for number in range(1, n + 1)]
        self.addLink("h1", switches[0], params2=impairment)
        for one, other in itertools.pairwise(switches):
            self.addLink(one, other)
        self.addLink(switches[-1], "h2", params1=impairment)


topos = {"chain": Chain}
