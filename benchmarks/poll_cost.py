"""Measures the cost of one poll of a host's sockets, compared with the kernel's own work.

    python benchmarks/poll_cost.py                        100 and 1,000 connections on this machine's kernel
    python benchmarks/poll_cost.py --connections 100      one number only

The connections are inside one host in private namespaces, with two sockets each and a listener. The
floor is the same request on the same socket, whose answers are received and discarded. All methods take
turns, so that other processes slow all of them equally; the results are medians, and medians of the
ratios of each turn.

There are three cases, by the changes since the previous poll: none; only timers advanced (keepalive on
all sockets); every socket changed (a byte was sent in both directions, and not read). A dump determines
which sockets have changed and their new values; a poll also creates an observation of each of them.
"""

# ruff: noqa: INP001, PLC0415, T201, SLF001 -- a script, which prints, imports where it times, and takes Diag apart
from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.experiment.net import Net

PORT = 80
TURNS = 41
FLOOR = "raw netlink"

#: Microseconds (median) and the multiple of the floor (median of the turns' ratios), by case and method.
Costs = dict[str, dict[str, tuple[float, float]]]


def ss_poll() -> Iterable[tuple[str, int, int]]:
    """One poll with ss: state, local port, remote port."""
    output = subprocess.run(["ss", "-H", "-tan"], capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        state, _, _, local, remote = line.split()[:5]
        if not remote.endswith("*"):
            yield state, int(local.rpartition(":")[2]), int(remote.rpartition(":")[2])


def pyroute2_poll() -> Callable[[], Iterable[tuple[str, int, int]]]:
    """One poll with pyroute2: its own request and decoding."""
    from handshake_lab.tcp.states import FROM_LINUX
    from pyroute2 import DiagSocket

    diag = DiagSocket()
    diag.bind()

    def poll() -> Iterable[tuple[str, int, int]]:
        for each in diag.get_sock_stats(family=socket.AF_INET):
            yield str(FROM_LINUX[each["idiag_state"]]), each["idiag_sport"], each["idiag_dport"]

    return poll


def turns(ways: dict[str, Callable[[], object]], prepare: Callable[[], None]) -> dict[str, tuple[float, float]]:
    """Run all methods in turns, each after the same preparation."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, do in ways.items():
            prepare()
            began = time.perf_counter()
            do()
            taken[name].append((time.perf_counter() - began) * 1e6)
    floor = taken[FLOOR]
    return {
        name: (
            statistics.median(each),
            statistics.median(one / other for one, other in zip(each, floor, strict=True)),
        )
        for name, each in taken.items()
    }


def measure(connections: int, out: Path) -> None:
    """All cases, in the calling process's namespace."""
    from handshake_lab.linux.netlink.sock_diag import EVERYTHING, exact_request
    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.polling import SocketPoller
    from handshake_lab.observers.socket_snapshot import SocketSnapshots

    found: Costs = {}
    with socket.create_server(("127.0.0.1", PORT), backlog=4096) as listener:
        kept = []
        for _ in range(connections):
            kept += [socket.create_connection(("127.0.0.1", PORT)), listener.accept()[0]]
        sockets, poller = SocketSnapshots("h1"), SocketPoller("h1", Clock())
        list(poller.poll())
        raw = sockets._kernel._socket
        flow = next(flow for flow in poller._flows if flow[1].port == PORT)
        known = sockets.dump(EVERYTHING, {}).found

        def floor(request: bytes, *, dump: bool) -> None:
            raw.send(request)
            while True:
                data = raw.recv(1 << 15)
                if not dump or struct.unpack_from("<H", data, 4)[0] == 3:
                    return

        def dump() -> None:
            nonlocal known
            known = sockets.dump(EVERYTHING, known).found

        def change() -> None:
            for sock in kept:
                sock.send(b"x")

        theirs = pyroute2_poll()
        ways: dict[str, Callable[[], object]] = {
            FLOOR: lambda: floor(EVERYTHING, dump=True),
            "dump": dump,
            "poll": lambda: list(poller.poll()),
        }
        others = {"pyroute2": lambda: list(theirs()), "ss": lambda: list(ss_poll())} if connections <= 100 else {}
        exact: dict[str, Callable[[], object]] = {
            FLOOR: lambda: floor(exact_request(flow), dump=False),
            "poll one": lambda: list(poller.poll_flow(flow)),
        }
        found["nothing changed"] = turns({**ways, **others}, lambda: None)
        found["every socket changed"] = turns(ways, change)
        for sock in kept:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        list(poller.poll())
        found["timers went on"] = turns(ways, lambda: time.sleep(0.002))
        found["one connection"] = turns(exact, lambda: None)
        for sock in kept:
            sock.close()
    out.write_text(json.dumps(found))


def script(net: Net, connections: Any) -> None:
    """Inside the kernel: measure in the first host."""
    limit = f"ulimit -n $(ulimit -Hn); exec {sys.executable} {__file__} --do {connections} {net.results}/costs.json"
    net.network["h1"].popen(["sh", "-c", limit]).wait()


def costs(kernel_name: str, connections: int) -> Costs:
    """Measure in private namespaces."""
    from handshake_lab.experiment.execute import conducted
    from handshake_lab.kernel.choose import choose_kernel
    from handshake_lab.plan.run_plan import RunPlan

    kernel = choose_kernel(kernel_name, 1)
    plan = RunPlan(script="benchmarks.poll_cost:script", argument=connections, kernel=kernel.info)
    with conducted(plan, kernel, import_from=(ROOT,)) as done:
        found: Costs = json.loads((done.directory / "costs.json").read_text())
    return found


def main() -> None:
    """As the module says; ``--do`` is for the process that it starts itself."""
    if sys.argv[1:2] == ["--do"]:
        measure(int(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, action="append")
    chosen = parser.parse_args()
    for connections in chosen.connections or (100, 1000):
        print(f"{2 * connections + 1} sockets; {os.getloadavg()[0]:.0f} runnable processes")
        for case, ways in costs("host", connections).items():
            for way, (microseconds, ratio) in ways.items():
                print(f"  {case:22} {way:12} {microseconds:8.0f} us {ratio:8.2f} times the floor")


if __name__ == "__main__":
    main()
