"""How many of the true transitions each way of watching sees, and what it costs.

    python benchmarks/fidelity.py --kernel host               on this machine's kernel
    python benchmarks/fidelity.py --kernel lab                on the lab kernel
    python benchmarks/fidelity.py --kernel host --rate 1000   one rate only

Two programs open and close connections in three ways; from their log follows which states each
end must have gone through. Four watch the same run: this recorder; `ss` in a loop without a
pause; pyroute2's DiagSocket in a loop without a pause; the tracepoint alone. The loops get one
process for each host, and get the end of a connection for free: what they no longer see counts
as seen CLOSED. TIME-WAIT's own end, a minute later, is not waited for.

On the lab kernel computing takes no time, and a loop without a pause never ends: there each look
is followed by a pause as long as such a look takes on this machine's kernel, measured first.
"""

# ruff: noqa: INP001, PLC0415, T201, SLF001 -- a script, which prints, imports where it times, and takes Diag apart
from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import os
import re
import resource
import select
import selectors
import signal
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

    from harness.experiment.world import World

#: Connections per second, and how many are made.
RATES = {1: 5, 10: 30, 100: 300, 1000: 2000}
PORT = 80
#: Longer than a delayed acknowledgment: a FIN that comes with it would skip FIN-WAIT-2.
THINKING = 0.1

FIRST = ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
SECOND = ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
#: What (client, server) go through: the client closes first, the server does, the client aborts.
TRUTH = {
    way: (["SYN-SENT", "ESTABLISHED", *client], ["SYN-RECEIVED", "ESTABLISHED", *server])
    for way, client, server in (("c", FIRST, SECOND), ("s", SECOND, FIRST), ("a", ["CLOSED"], ["CLOSED"]))
}
STATES = {"ESTAB": "ESTABLISHED", "SYN-RECV": "SYN-RECEIVED"}
OBSERVERS = ("ss", "pyroute2", "tracepoint")


# -- the load --------------------------------------------------------------------------------


class Loop:
    """Sockets to read from, and things to do later."""

    def __init__(self) -> None:
        self.ready = selectors.DefaultSelector()
        self.later: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self.later, (time.monotonic() + seconds, len(self.later) + time.monotonic_ns(), do))

    def turn(self, until: float) -> None:
        """Whatever is due until then."""
        if self.later:
            until = min(until, self.later[0][0])
        for key, _ in self.ready.select(max(until - time.monotonic(), 0)):
            key.data(key.fileobj)
        while self.later and self.later[0][0] <= time.monotonic():
            heapq.heappop(self.later)[2]()

    def close(self, sock: socket.socket) -> None:
        """Close a socket that was read from."""
        self.ready.unregister(sock)
        sock.close()


def serve() -> None:
    """Answer each connection's first byte, which says who closes first."""
    loop = Loop()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                loop.ready.register(sock, selectors.EVENT_READ, talk)

    def talk(sock: socket.socket) -> None:
        try:
            said = sock.recv(1)
        except ConnectionResetError:
            loop.close(sock)
            return
        if said:
            sock.send(b"k")
            if said == b"s":
                sock.shutdown(socket.SHUT_WR)
            return
        loop.ready.unregister(sock)
        loop.after(THINKING, sock.close)

    with socket.create_server(("", PORT), backlog=4096) as listener:
        listener.setblocking(False)
        loop.ready.register(listener, selectors.EVENT_READ, accept)
        while True:
            loop.turn(time.monotonic() + 60)


def connect(rate: int, number: int, log: Path) -> None:
    """Open connections at a rate, and write down which way each was closed."""
    loop, ways, left = Loop(), {}, number
    begins = time.monotonic()

    def talk(sock: socket.socket) -> None:
        nonlocal left
        way, said = ways[sock.getsockname()[1]], sock.recv(1)
        if said and way == "c":
            sock.shutdown(socket.SHUT_WR)
        elif not said and way == "s":
            loop.ready.unregister(sock)
            loop.after(THINKING, sock.close)
            left -= 1
        elif way == "a" or not said:
            if way == "a":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            loop.close(sock)
            left -= 1

    for each in range(number):
        while time.monotonic() < begins + each / rate:
            loop.turn(begins + each / rate)
        sock = socket.create_connection(("h2", PORT))
        way = "csa"[each % 3]
        ways[sock.getsockname()[1]] = way
        sock.send(way.encode())
        loop.ready.register(sock, selectors.EVENT_READ, talk)
        loop.turn(0)
    reached = number / (time.monotonic() - begins)
    while left or loop.later:
        loop.turn(time.monotonic() + 1)
    log.write_text(json.dumps({"ways": ways, "reached": reached}))


# -- those who watch -------------------------------------------------------------------------

Seen = set[tuple[str, int, str]]  # side, the client's port, state


def side_of(local: int, remote: int) -> tuple[str, int] | None:
    """Which end of which connection that is; None for a listener."""
    if local == PORT:
        return ("server", remote) if remote else None
    return ("client", local) if local and remote == PORT else None  # bound only after SYN-SENT was reported


def ss_look() -> Iterable[tuple[str, int, int]]:
    """One look: state, local port, remote port."""
    output = subprocess.run(["ss", "-H", "-tan"], capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        state, _, _, local, remote = line.split()[:5]
        if not remote.endswith("*"):
            yield STATES.get(state, state), int(local.rpartition(":")[2]), int(remote.rpartition(":")[2])


def pyroute2_look() -> Callable[[], Iterable[tuple[str, int, int]]]:
    """One look with pyroute2: its own request, its own decoding."""
    from pyroute2 import DiagSocket

    from harness.tcp.states import FROM_LINUX

    diag = DiagSocket()
    diag.bind()

    def look() -> Iterable[tuple[str, int, int]]:
        for each in diag.get_sock_stats(family=socket.AF_INET):
            yield str(FROM_LINUX[each["idiag_state"]]), each["idiag_sport"], each["idiag_dport"]

    return look


def look_until_told(look: Callable[[], Iterable[tuple[str, int, int]]], pause: float, told: list[int]) -> Any:
    """Look again and again."""
    seen: Seen = set()
    before: set[tuple[str, int]] = set()
    looks = 0
    while not told:
        now = set()
        for state, local, remote in look():
            end = side_of(local, remote)
            if end:
                now.add(end)
                seen.add((*end, state))
        seen.update((*end, "CLOSED") for end in before - now)
        before = now
        looks += 1
        if pause:
            time.sleep(pause)
    return seen, looks


def trace_until_told(told: list[int]) -> Any:
    """The tracepoint and nothing else; an event without its ports is filed with the socket's next."""
    from harness.recorder.clock import Clock
    from harness.recorder.tracepoint import Tracepoints
    from harness.timeline.observations import StateChange

    tracepoints = Tracepoints(Clock())
    early: dict[int, list[str]] = {}
    seen: Seen = set()
    while not told:
        select.select(tracepoints.descriptors(), [], [], 0.2)
        for descriptor in tracepoints.descriptors():
            for event in tracepoints.read(descriptor):
                if not isinstance(event, StateChange):
                    continue
                states = [*early.pop(event.sk, ()), str(event.new)]
                end = side_of(event.local.port, event.remote.port)
                if end:
                    seen.update((*end, state) for state in states)
                else:
                    early[event.sk] = states
    tracepoints.close()
    return seen, 0


def observe(kind: str, pause: float, out: Path) -> None:
    """Watch until SIGTERM; leave what was seen, and what it cost."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    if kind == "tracepoint":
        seen, looks = trace_until_told(told)
    else:
        seen, looks = look_until_told(ss_look if kind == "ss" else pyroute2_look(), pause, told)
    cpu = sum(cpu_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    out.write_text(json.dumps({"seen": sorted(seen), "cpu": cpu, "looks": looks}))


def cpu_seconds(who: int) -> float:
    """User and system time."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


# -- what one look costs ---------------------------------------------------------------------


def cost(out: Path) -> None:
    """Microseconds of one look at 100 connections and of one exact look: raw netlink, this recorder, pyroute2, ss."""
    from harness.recorder.clock import Clock
    from harness.recorder.diag import _EVERYTHING, Diag, _exact_request

    with socket.create_server(("127.0.0.1", PORT), backlog=200) as listener:
        kept = []
        for _ in range(100):
            kept += [socket.create_connection(("127.0.0.1", PORT)), listener.accept()[0]]
        diag = Diag("h1", Clock())
        list(diag.look())
        flow = next(flow for flow in diag._flows if flow[1].port == PORT)
        look = pyroute2_look()

        def floor(request: bytes, *, dump: bool) -> None:
            diag._socket.send(request)
            while True:
                data = diag._socket.recv(1 << 17)
                if not dump or struct.unpack_from("<H", data, 4)[0] == 3:
                    return

        exact = _exact_request(flow)
        pairs: dict[str, Callable[[], Any]] = {
            "dump, raw netlink": lambda: floor(_EVERYTHING, dump=True),
            "dump, this recorder": lambda: list(diag.look()),
            "dump, pyroute2": lambda: list(look()),
            "dump, ss": lambda: list(ss_look()),
            "exact, raw netlink": lambda: floor(exact, dump=False),
            "exact, this recorder": lambda: list(diag.look_at(flow)),
        }
        taken: dict[str, list[float]] = {name: [] for name in pairs}
        for _ in range(60):  # in turn: what else the machine does then slows all alike
            for name, do in pairs.items():
                began = time.perf_counter()
                do()
                taken[name].append((time.perf_counter() - began) * 1e6)
        for sock in kept:
            sock.close()
    out.write_text(json.dumps({name: statistics.median(each) for name, each in taken.items()}))


# -- the run ---------------------------------------------------------------------------------


def script(world: World, argument: Any) -> None:
    """Where the kernel is: start those who watch, then the load; then tell them to end."""
    here, results = [sys.executable, __file__], world.results
    one, two = world.network["h1"], world.network["h2"]
    if argument["cost"]:
        one.popen([*here, "--do", "cost", str(results / "cost.json")]).wait()
        return
    server = two.popen([*here, "--do", "serve"])
    world["h2"].wait_for("LISTEN")
    watching = []
    for kind in OBSERVERS:
        for host in (one,) if kind == "tracepoint" else (one, two):
            out = results / f"{kind}-{host.name}.json"
            watching.append(host.popen([*here, "--do", kind, str(argument["pauses"].get(kind, 0)), str(out)]))
    world.sleep(2)  # they import
    began, used = time.monotonic(), cpu_seconds(resource.RUSAGE_SELF)
    one.popen([*here, "--do", "connect", str(argument["rate"]), str(argument["number"]), str(results / "log")]).wait()
    world.sleep(1)
    world.recorder.sync()  # what it has not read yet is still to be paid for
    own = {"cpu": cpu_seconds(resource.RUSAGE_SELF) - used, "seconds": time.monotonic() - began}
    (results / "own.json").write_text(json.dumps(own))
    for each in watching:
        each.send_signal(signal.SIGTERM)
    for each in watching:
        each.wait()
    server.kill()
    server.wait()


def run(kernel_name: str, rate: int, number: int, pauses: dict[str, float]) -> None:
    """One rate: a line for each who watched."""
    from harness.cli.options import choose_kernel
    from harness.experiment.conduct import conducted
    from harness.experiment.plan import Plan

    kernel = choose_kernel(kernel_name, 1, wall_limit=400)
    argument = {"rate": rate, "number": number, "pauses": pauses, "cost": False}
    with conducted(Plan(script="benchmarks.fidelity:script", argument=argument, kernel=kernel.info), kernel) as done:
        told = json.loads((done.directory / "log").read_text())
        own = json.loads((done.directory / "own.json").read_text())
        true = {
            (side, int(port), state)
            for port, way in told["ways"].items()
            for side, states in zip(("client", "server"), TRUTH[way], strict=True)
            for state in states
        }
        print(f"\n{rate}/s asked, {told['reached']:.0f}/s reached, {number} connections, {len(true)} transitions,")
        print(f"  {len(done.observations)} observations, {own['cpu']:.2f} s of processor in {own['seconds']:.1f} s")
        seen: Seen = set()
        admitted: Seen = set()
        for end in done.record.endpoints:
            place = side_of(end.local.port, end.remote.port)
            for step in end.transitions if place else ():
                if str(step.new) != "LISTEN":
                    (admitted if step.inferred else seen).add((*place, str(step.new)))
        closed = {(*place, "CLOSED") for place in {(side, port) for side, port, _ in true}}
        tell("this recorder", seen, true, closed, own["cpu"] / own["seconds"], kernel_name)
        unseen = true - seen
        print(f"    of {len(unseen)} not seen, {len(unseen & admitted)} are in its history as inferred;", end=" ")
        doubts = "; ".join(map(str, done.record.objections[:3]))
        print(f"{len(admitted - true - closed)} inferred wrongly; objections: {doubts}")
        for kind in OBSERVERS:
            found = [json.loads(file.read_text()) for file in sorted(done.directory.glob(f"{kind}-*.json"))]
            seen = {(side, port, state) for each in found for side, port, state in each["seen"]}
            cpu = sum(each["cpu"] for each in found) / own["seconds"]
            tell(kind, seen, true, closed, cpu, kernel_name)


def tell(who: str, seen: Seen, true: Seen, closed: Seen, cpu: float, kernel_name: str) -> None:
    """One line."""
    spent = "" if kernel_name.startswith("lab") else f"{cpu:8.0%} of a processor"
    invented = sorted(seen - true - closed)
    print(f"  {who:14} {len(seen & true) / len(true):8.2%} seen, {len(invented)} invented {spent} {invented[:1] or ''}")


def costs(kernel_name: str) -> dict[str, float]:
    """What one look takes, told and returned."""
    from harness.cli.options import choose_kernel
    from harness.experiment.conduct import conducted
    from harness.experiment.plan import Plan

    kernel = choose_kernel(kernel_name, 1)
    plan = Plan(script="benchmarks.fidelity:script", argument={"cost": True}, kernel=kernel.info)
    with conducted(plan, kernel) as done:
        taken: dict[str, float] = json.loads((done.directory / "cost.json").read_text())
    for name, microseconds in taken.items():
        floor = taken[re.sub(",.*", ", raw netlink", name)]
        print(f"  {name:22} {microseconds:8.0f} us   {microseconds / floor:6.2f} times the floor")
    return taken


def main() -> None:
    """As the module says; ``--do`` is for the processes that it starts itself."""
    if sys.argv[1:2] == ["--do"]:
        what, *rest = sys.argv[2:]
        if what == "serve":
            serve()
        elif what == "connect":
            connect(int(rest[0]), int(rest[1]), Path(rest[2]))
        elif what == "cost":
            cost(Path(rest[0]))
        else:
            observe(what, float(rest[0]), Path(rest[1]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default="host")
    parser.add_argument("--rate", type=int, choices=RATES)
    parser.add_argument("--connections", type=int)
    chosen = parser.parse_args()
    print(
        f"one look at 201 sockets, or at one of them, on this machine ({os.getloadavg()[0]:.0f} processes want to run)"
    )
    taken = costs("host")
    pauses = {}
    if chosen.kernel.startswith("lab"):
        pauses = {"ss": taken["dump, ss"] / 1e6, "pyroute2": taken["dump, pyroute2"] / 1e6}
    for rate in [chosen.rate] if chosen.rate else RATES:
        run(chosen.kernel, rate, chosen.connections or RATES[rate], pauses)


if __name__ == "__main__":
    main()
