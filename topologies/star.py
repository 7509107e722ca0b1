"""Any number of hosts around one switch.

    h1 ─┐
    h2 ─┤
    h3 ─┼─ s1
    …  ─┤
    hn ─┘

Stock Mininet runs it too: ``mn --custom topologies/star.py --topo star,5``
"""

from __future__ import annotations

from mininet.topo import Topo


class Star(Topo):  # type: ignore[misc] # Mininet has no types
    """Hosts h1 to hn, each at a port of one switch; each port is impaired towards its host.

    ``delay`` is the one-way delay between any two hosts.

    Args:
        n: How many hosts.
        ipv6: Whether the hosts also have IPv6 addresses, to which their names then resolve.
        impairment: The impairment of every segment to each host, as for ``pair``.
    """

    def build(self, n: int = 3, *, ipv6: bool = False, **impairment: object) -> None:
        """Create the hosts and the switch."""
        self.addSwitch("s1")
        for number in range(1, n + 1):
            host = self.addHost(f"h{number}", **({"ip6": f"fd00::{number:x}/64"} if ipv6 else {}))
            self.addLink(host, "s1", params2=impairment)


topos = {"star": Star}
