"""A topology that is called like its base class, with addresses without a prefix length and links of a class."""

from mininet.link import TCLink
from mininet.topo import Topo


class Topo(Topo):
    """Mininet's own name, taken again."""

    def build(self) -> None:
        """Make it."""
        switch = self.addSwitch("s1")
        self.addLink(self.addHost("h1", ip="10.0.0.2"), switch, cls=TCLink, loss=10)
        self.addLink(self.addHost("h2", ip="10.0.0.6"), switch, cls=TCLink)


topos = {"same-name": Topo}
