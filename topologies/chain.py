"""Two hosts with a chain of switches between them.

    h1 ─── s1 ─── s2 ─── … ─── sn ─── h2

Stock Mininet runs it too: ``mn --custom topologies/chain.py --topo chain,4``
"""

from __future__ import annotations

import itertools

from mininet.topo import Topo


class Chain(Topo):  # type: ignore[misc] # Mininet has no types
    """Two hosts, and a chain of switches s1 to sn between them.

    The path is impaired once in each direction, at the last switch before the receiver, so ``delay``
    is its one-way delay for any number of switches; links between switches can be impaired
    individually: ``--link "s1-s2:delay=10ms"``.

    Args:
        n: How many switches.
        ipv6: Whether the hosts also have IPv6 addresses, to which their names then resolve.
        impairment: The impairment of every segment in both directions, as for ``pair``.
    """

    def build(self, n: int = 3, *, ipv6: bool = False, **impairment: object) -> None:
        """Create the hosts and the switches."""
        for number in (1, 2):
            self.addHost(f"h{number}", **({"ip6": f"fd00::{number}/64"} if ipv6 else {}))
        switches = [self.addSwitch(f"s{number}") for number in range(1, n + 1)]
        self.addLink("h1", switches[0], params2=impairment)
        for one, other in itertools.pairwise(switches):
            self.addLink(one, other)
        self.addLink(switches[-1], "h2", params1=impairment)


topos = {"chain": Chain}
