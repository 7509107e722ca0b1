"""Two hosts with one switch between them.

    h1 ──── s1 ──── h2

Stock Mininet runs it too: ``mn --custom topologies/pair.py --topo pair,delay=50ms --link tc``
"""

from __future__ import annotations

from mininet.topo import Topo


class Pair(Topo):  # type: ignore[misc] # Mininet has no types
    """Two hosts, one switch, the impairment at the switch.

    As everywhere in Mininet, a port's parameters apply to segments that *leave* through it. The path
    from h1 to h2 is therefore impaired at the switch's port to h2, and ``delay`` is the path's one-way
    delay. It is in the middle, where the sender's TCP does not notice it. The round trip takes twice as long.

    Args:
        ipv6: Whether the hosts also have IPv6 addresses, to which their names then resolve.
        impairment: The impairment of every segment in both directions: ``delay="50ms"``, ``loss="1%"``,
            ``rate="10mbit"``, ... Mininet's own parameters (``loss=1``, ``bw=10``) have the same meaning;
            stock Mininet accepts only those.
    """

    def build(self, *, ipv6: bool = False, **impairment: object) -> None:
        """Create the two hosts and the switch."""
        for number in (1, 2):
            self.addHost(f"h{number}", **({"ip6": f"fd00::{number}/64"} if ipv6 else {}))
        self.addSwitch("s1")
        self.addLink("h1", "s1", params2=impairment)
        self.addLink("s1", "h2", params1=impairment)


topos = {"pair": Pair}
