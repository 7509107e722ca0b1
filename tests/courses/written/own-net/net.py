from mininet.topo import Topo


class Net(Topo):
    def build(self):
        r1 = self.addSwitch("r1")
        for name in ("a", "b", "server"):
            self.addLink(self.addHost(name), r1)


topos = {"net": Net}
