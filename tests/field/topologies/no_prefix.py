"""Addresses without a prefix length, which Mininet takes for /8."""

from mininet.topo import Topo


class NoPrefix(Topo):
    """Two hosts, joined directly."""

    def build(self) -> None:
        """Make it."""
        self.addLink(self.addHost("h1", ip="10.0.0.2"), self.addHost("h2", ip="10.0.0.6"))


topos = {"no-prefix": NoPrefix}
