#!/usr/bin/python3
"""Two routers with static routes between three networks, in the style of a course's exercise: addHost and cmd."""

from mininet.cli import CLI
from mininet.net import Mininet
from mininet.node import Node


class LinuxRouter(Node):
    def config(self, **params):
        super().config(**params)
        self.cmd("sysctl net.ipv4.ip_forward=1")

    def terminate(self):
        self.cmd("sysctl net.ipv4.ip_forward=0")
        super().terminate()


net = Mininet()
h1 = net.addHost("h1", ip="10.1.0.2/24", defaultRoute="via 10.1.0.1")
h2 = net.addHost("h2", ip="10.2.0.2/24", defaultRoute="via 10.2.0.1")
r1 = net.addHost("r1", cls=LinuxRouter, ip=None)
r2 = net.addHost("r2", cls=LinuxRouter, ip=None)
net.addLink(h1, r1, intfName2="r1-lan", params2={"ip": "10.1.0.1/24"})
net.addLink(r1, r2, intfName1="r1-wan", intfName2="r2-wan")
net.addLink(h2, r2, intfName2="r2-lan", params2={"ip": "10.2.0.1/24"})
net.start()
r1.cmd("ifconfig r1-wan 10.0.0.1/30")
r2.cmd("ip addr add 10.0.0.2/30 dev r2-wan")
r1.cmd("ip route add 10.2.0.0/24 via 10.0.0.2")
r2.cmd("route add -net 10.1.0.0/24 gw 10.0.0.1")
CLI(net)
net.stop()
