"""Three subnets around a host that forwards: the shape of Mininet's own example of a router."""

from mininet.node import Node
from mininet.topo import Topo

SUBNETS = {"h1": ("192.168.1.1/24", "192.168.1.100/24"), "h2": ("172.16.0.1/12", "172.16.0.100/12")}
SUBNETS["h3"] = ("10.0.0.1/8", "10.0.0.100/8")


class LinuxRouter(Node):
    """Forwards while it is up."""

    def config(self, **params: object) -> None:
        """Begin to forward."""
        super().config(**params)
        self.cmd("sysctl net.ipv4.ip_forward=1")

    def terminate(self) -> None:
        """Forward no more."""
        self.cmd("sysctl net.ipv4.ip_forward=0")
        super().terminate()


class Subnets(Topo):
    """One switch for each subnet, the router on all of them."""

    def build(self, **_options: object) -> None:
        """Make it."""
        router = self.addNode("r0", cls=LinuxRouter, ip=SUBNETS["h1"][0])
        for number, (name, (gateway, address)) in enumerate(SUBNETS.items(), 1):
            switch = self.addSwitch(f"s{number}")
            self.addLink(switch, router, intfName2=f"r0-eth{number}", params2={"ip": gateway})
            host = self.addHost(name, ip=address, defaultRoute=f"via {gateway.partition('/')[0]}")
            self.addLink(host, switch)


topos = {"subnets": Subnets}
