"""A host, a switch and a host, with a rate and a delay on both links: the usual first laboratory."""

from mininet.topo import Topo


class TwoLinks(Topo):
    """Both links alike, in Mininet's own words."""

    def build(self) -> None:
        """Make it."""
        switch = self.addSwitch("s1")
        for name in ("h1", "h2"):
            self.addLink(switch, self.addHost(name), bw=10, delay="5ms", loss=0)


topos = {"two-links": lambda: TwoLinks()}  # noqa: PLW0108  as such files have it
