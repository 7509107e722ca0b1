"""What ends a script in its own way: the first argument chooses."""

import sys
from functools import partial
from pathlib import Path

from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo

what = sys.argv[1]
if what == "exit":
    Path("results").mkdir()
    Path("results/numbers.txt").write_text("1 2 3\n")
    sys.exit(5)
if what == "raise":
    raise ValueError("nobody catches this")
links = {"bandwidth": {"bw": 2000}, "delay": {"delay": "5 parsecs"}, "loss": {"loss": 120}, "jitter": {"jitter": "1ms"}}
net = Mininet(topo=SingleSwitchTopo(2), link=partial(TCLink, **links.get(what, {})))
net.start()
if what == "iperf":
    print(net.iperf(seconds=1))
if what == "wait":
    net["h1"].cmd("nc -l -p 99 || sleep infinity")
net.stop()
