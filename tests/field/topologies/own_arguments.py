"""A slow link with a short queue, whose values are arguments of the file's own command line."""

from argparse import ArgumentParser

from mininet.node import CPULimitedHost  # noqa: F401  what such files import
from mininet.topo import Topo

parser = ArgumentParser(description="A queue that is too long")
parser.add_argument("--rate", "-r", type=float, default=10)
parser.add_argument("--delay", type=float, default=2)
parser.add_argument("--queue", type=int, default=100)
arguments = parser.parse_args()


class SlowLink(Topo):
    """A fast link, a switch, a slow link."""

    def build(self) -> None:
        """Make it."""
        switch = self.addSwitch("s0")
        delay = f"{arguments.delay}ms"
        self.addLink(self.addHost("h1"), switch, bw=1000, delay=delay, max_queue_size=arguments.queue)
        self.addLink(switch, self.addHost("h2"), bw=arguments.rate, delay=delay, max_queue_size=arguments.queue)


topos = {"slow-link": SlowLink}
