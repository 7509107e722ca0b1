"""How fast networks come up and go: this project's against stock Mininet's, in one run on one kernel.

    python benchmarks/network.py                 on this machine's kernel, in a private world
    python benchmarks/network.py --kernel lab    on the lab kernel

Both build the same Topo with Linux bridges and no controller; one round is up and down again,
in one process that has everything imported. Inside the lab kernel computing takes no time, so
there it is timed from outside: the wall time of a boot with rounds less that of one without.

What is asked of it: pair at least 5 times as fast as stock Mininet, star,100 at least 3 times,
and 500 hosts come up at all.
"""

# ruff: noqa: INP001, PLC0415, T201 -- a script, which prints, and imports where it times
from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

#: Topology, how many rounds of stock Mininet and of ours, the ratio that is asked for.
CASES: list[tuple[str, int, int, float]] = [("pair", 5, 20, 5.0), ("star,100", 1, 3, 3.0)]
#: Brought up by ours alone.
LARGE = "star,500"


def ours(topology: str, rounds: int, link: str) -> list[float]:
    """Seconds of each round of `Network`."""
    from handshake_lab.network.network import Network
    from handshake_lab.plan.load_topology import load_topology

    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        with Network(load_topology(topology), link=[link] if link else []):
            pass
        taken.append(time.perf_counter() - began)
    return taken


def stock(topology: str, rounds: int, link: str) -> list[float]:
    """Seconds of each round of stock Mininet, with bridges in place of Open vSwitch and no controller."""
    from handshake_lab.plan.load_topology import load_topology
    from mininet.link import Link, TCLink
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.nodelib import LinuxBridge

    setLogLevel("critical")
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        text = topology + "".join(f",{item}" for item in link.split(",") if item)
        net = Mininet(topo=load_topology(text), switch=LinuxBridge, controller=None, link=TCLink if link else Link)
        net.start()
        net.stop()
        taken.append(time.perf_counter() - began)
    return taken


def job(argument: dict[str, Any], results: Path) -> int:
    """Inside a kernel: some rounds of one of the two; leave the seconds that each took."""
    builder = {"ours": ours, "stock": stock}[argument["builder"]]
    taken = builder(argument["topology"], argument["rounds"], argument["link"])
    (results / "taken.json").write_text(json.dumps(taken))
    return 0


def boot(kernel: Any, builder: str, topology: str, rounds: int, link: str) -> tuple[list[float], float]:
    """Have a kernel do some rounds.

    Returns:
        The seconds that each took on the kernel's own clock, and those of the whole on the wall.
    """
    from handshake_lab.kernel.shared.job import Job

    argument = {"builder": builder, "topology": topology, "rounds": rounds, "link": link}
    began = time.perf_counter()
    with kernel.run(Job(call="benchmarks.network:job", argument=argument)) as outcome:
        if outcome.status != 0:
            raise SystemExit(f"{builder} {topology} failed:\n{outcome.console}")
        return json.loads((outcome.results / "taken.json").read_text()), time.perf_counter() - began


def seconds(kernel: Any, builder: str, topology: str, rounds: int) -> float:
    """One round, up and down, on a kernel, in seconds."""
    if kernel.info.kind != "lab":
        return statistics.median(boot(kernel, builder, topology, rounds, "")[0])
    link = "delay=50ms"
    none = statistics.median(boot(kernel, builder, topology, 0, link)[1] for _ in range(3))
    return (boot(kernel, builder, topology, rounds, link)[1] - none) / rounds


def main() -> int:
    """Print the ratios; the exit status is 1 where one is below what is asked."""
    from handshake_lab.cli.options import choose_kernel

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=["host", "lab"], default="host")
    kernel = choose_kernel(parser.parse_args().kernel, 1, wall_limit=600)
    print(f"{'':12}{'stock':>12}{'ours':>12}{'ratio':>8}{'asked':>8}")
    good = True
    for topology, stock_rounds, our_rounds, asked in CASES:
        theirs = seconds(kernel, "stock", topology, stock_rounds)
        mine = seconds(kernel, "ours", topology, our_rounds)
        good &= theirs / mine >= asked
        print(f"{topology:12}{theirs * 1e3:10.1f}ms{mine * 1e3:10.1f}ms{theirs / mine:8.1f}{asked:8.1f}", flush=True)
    print(f"{LARGE:12}{'':>12}{seconds(kernel, 'ours', LARGE, 1) * 1e3:10.1f}ms")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
