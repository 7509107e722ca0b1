#!/usr/bin/env python
"""Two hosts and a switch, in the style of Mininet's walkthrough: a topology class, TCLink, a web server."""

import sys
import time

from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import Topo


class TwoHosts(Topo):
    def build(self, loss=0):
        switch = self.addSwitch("s1")
        for number in (1, 2):
            self.addLink(self.addHost(f"h{number}"), switch, bw=10, delay="5ms", loss=loss)


def main(loss):
    net = Mininet(topo=TwoHosts(loss), link=TCLink)
    net.start()
    client, server = net.get("h1", "h2")
    server.cmd(f"{sys.executable} -m http.server 80 &")
    time.sleep(1)
    print(client.cmd(f"curl -s {server.IP()}/two_hosts.py").splitlines()[0])
    time.sleep(1)
    net.stop()


if __name__ == "__main__":
    setLogLevel("info")
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0)
