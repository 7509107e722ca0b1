"""Three switches in a ring, one host at each: frames circle in it unless something prevents that."""

from mininet.topo import Topo


class Ring(Topo):
    """As courses on software-defined networks draw it."""

    def build(self) -> None:
        """Make it."""
        switches = [self.addSwitch(f"s{number}") for number in (1, 2, 3)]
        for place, switch in enumerate(switches):
            self.addLink(self.addHost(f"h{place + 1}"), switch)
            self.addLink(switch, switches[(place + 1) % 3])


topos = {"ring": Ring}
