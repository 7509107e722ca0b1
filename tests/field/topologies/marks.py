"""A link that is to mark packets, not to drop them, and one with random early detection, in Mininet's words."""

from mininet.topo import Topo


class Marks(Topo):
    """The slow link asks for ECN, the fast one for RED."""

    def build(self) -> None:
        """Make it."""
        switch = self.addSwitch("s1")
        self.addLink(self.addHost("h1"), switch, bw=100, enable_red=True)
        self.addLink(self.addHost("h2"), switch, bw=10, delay="1ms", enable_ecn=True, max_queue_size=200)


topos = {"marks": Marks}
