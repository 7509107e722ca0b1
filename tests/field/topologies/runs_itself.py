"""A script that makes a topology and runs it, as most course files do: it has no dictionary `topos`."""

from mininet.cli import CLI
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import Topo


class LossyLab(Topo):
    """One of two links is slow and loses a fifth."""

    def build(self) -> None:
        """Make it."""
        first, second, switch = self.addHost("h1"), self.addHost("h2"), self.addSwitch("s1")
        self.addLink(first, switch, delay="10ms", loss=20)
        self.addLink(switch, second)


if __name__ == "__main__":
    net = Mininet(topo=LossyLab(), link=TCLink)
    net.start()
    CLI(net)
    net.stop()
