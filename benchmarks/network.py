"""Compares the time to start and stop a network of this project and of stock Mininet, on the same kernel.

    python benchmarks/network.py                 on this machine's kernel, in private namespaces
    python benchmarks/network.py --kernel lab    on the lab kernel

Both build the same Topo with Linux bridges and no controller. One round starts and stops the network,
in one process that has imported everything. Inside the lab kernel computation takes no time, so the time
is measured outside: the wall time of a boot with rounds minus that of a boot without.

Requirements: pair at least 5 times as fast as stock Mininet, star,100 at least 10 times, and 500 hosts
start at all.
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

#: Topology, rounds of stock Mininet and of this project, the required ratio.
CASES: list[tuple[str, int, int, float]] = [("pair", 5, 20, 5.0), ("star,100", 1, 3, 10.0)]
#: Started by this project only.
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
    """Inside a kernel: run rounds of one of the two; write the seconds of each."""
    builder = {"ours": ours, "stock": stock}[argument["builder"]]
    taken = builder(argument["topology"], argument["rounds"], argument["link"])
    (results / "taken.json").write_text(json.dumps(taken))
    return 0


def boot(kernel: Any, builder: str, topology: str, rounds: int, link: str) -> tuple[list[float], float]:
    """Run rounds in a kernel.

    Returns:
        The seconds of each round on the kernel's clock, and the wall time of the whole in seconds.
    """
    from handshake_lab.kernel.shared.job import Job

    argument = {"builder": builder, "topology": topology, "rounds": rounds, "link": link}
    began = time.perf_counter()
    with kernel.run(Job(call="benchmarks.network:job", argument=argument, import_from=(ROOT,))) as outcome:
        if outcome.status != 0:
            raise SystemExit(f"{builder} {topology} failed:\n{outcome.console}")
        return json.loads((outcome.results / "taken.json").read_text()), time.perf_counter() - began


def seconds(kernel: Any, builder: str, topology: str, rounds: int) -> float:
    """The duration of one round on a kernel in seconds."""
    if kernel.info.kind != "lab":
        return statistics.median(boot(kernel, builder, topology, rounds, "")[0])
    link = "delay=50ms"
    none = statistics.median(boot(kernel, builder, topology, 0, link)[1] for _ in range(3))
    return (boot(kernel, builder, topology, rounds, link)[1] - none) / rounds


def main() -> int:
    """Print the ratios; the exit status is 1 if one is lower than required."""
    from handshake_lab.kernel.choose import choose_kernel

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
