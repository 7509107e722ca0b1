"""Three hosts in a row, none of them a router: the one in the middle has two links and one address."""

from mininet.topo import Topo


class Row(Topo):
    """Made by a constructor of its own, as older files do it."""

    def __init__(self) -> None:
        Topo.__init__(self)
        first, middle, last = self.addHost("A"), self.addHost("B"), self.addHost("C")
        for one, other in ((first, middle), (middle, last)):
            self.addLink(one, other, bw=10, delay="10ms", loss=0.0, use_tbf=False)


topos = {"row": (lambda: Row())}  # noqa: PLW0108  as such files have it
