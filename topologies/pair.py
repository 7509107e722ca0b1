"""Two hosts with one switch between them.

    h1 ──── s1 ──── h2

Stock Mininet runs it too: ``mn --custom topologies/pair.py --topo pair,delay=50ms --link tc``
"""

from __future__ import annotations

from mininet.topo import Topo


class Pair(Topo):  # type: ignore[misc] # Mininet has no types
    """Two hosts, one switch, the impairment at the switch.

    As everywhere in Mininet, a port's parameters act on what *leaves* through it. So the way
    from h1 to h2 is impaired at the switch's port to h2, and ``delay`` is the path's one-way
    delay: in the middle, where a sender's TCP cannot see it. The round trip takes twice as long.

    Args:
        ipv6: Whether the hosts have IPv6 addresses too, which their names then stand for.
        impairment: What happens to every segment, each way: ``delay="50ms"``, ``loss="1%"``,
            ``rate="10mbit"``, ... Mininet's own words (``loss=1``, ``bw=10``) mean the same and
            are the ones that stock Mininet understands.
    """

    def build(self, *, ipv6: bool = False, **impairment: object) -> None:
        """Make the two hosts and the switch."""
        for number in (1, 2):
            self.addHost(f"h{number}", **({"ip6": f"fd00::{number}/64"} if ipv6 else {}))
        self.addSwitch("s1")
        self.addLink("h1", "s1", params2=impairment)
        self.addLink("s1", "h2", params1=impairment)


topos = {"pair": Pair}
