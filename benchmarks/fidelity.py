"""Measures how many of the true transitions each method observes, and its cost.

    python benchmarks/fidelity.py --kernel host                        on this machine's kernel
    python benchmarks/fidelity.py --kernel lab                         on the lab kernel
    python benchmarks/fidelity.py --kernel host --rate 1000 --runs 1   one rate only, once
    python benchmarks/fidelity.py --kernel host --write                write tables to docs/explanation/fidelity.md

Two programs open and close connections in four ways; their log determines which states each
endpoint must have passed through. Four methods observe the same run: this recorder; `ss` in a loop
without pauses; pyroute2's DiagSocket in a loop without pauses; the tracepoint alone. Each loop has
one process per host. A socket that a loop no longer finds counts as observed CLOSED. The end of
TIME-WAIT, a minute later, is not waited for. ``--alone`` omits the loops, because they use all
available processor time.

On the lab kernel computation takes no time, and a loop without pauses never ends: there each poll
is followed by a pause of the duration that a poll takes on this machine's kernel, measured first.

A connection counts as joined if the record has one pair of endpoints for it, with all of its states in their order.

Processor time is that of the recorder's thread, or of the other methods' processes with the programs
that they run. The time during which the recorder's thread was runnable but waiting is printed as well.
"""

# ruff: noqa: INP001, PLC0415, T201, SLF001 -- a script, which prints, imports what it needs, and asks for a thread
from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fidelity_load import PERHAPS, TRUTH  # noqa: E402 -- once it can be found
from benchmarks.fidelity_watch import Seen, side_of  # noqa: E402
from benchmarks.poll_cost import costs  # noqa: E402

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.recording.history import Record

#: Connections per second, and how many are made.
RATES = {1: 10, 10: 60, 100: 300, 1000: 2000}
LOOPS = ("ss", "pyroute2")
RECORDER = "this recorder"
NOBODY = "-"
PAGE = ROOT / "docs" / "explanation" / "fidelity.md"


def recorder_time(net: Net) -> tuple[float, float]:
    """Seconds that the recorder's thread has run, and that it has waited for a processor (proc(5), schedstat)."""
    thread = net.recorder._thread
    assert thread.ident is not None  # noqa: S101 -- it runs
    schedstat = Path(f"/proc/self/task/{thread.native_id}/schedstat")
    waited = int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident)), waited


def script(net: Net, argument: Any) -> None:
    """Inside the kernel: start the other methods, then the load; then end them."""
    load, watch = (str(Path(__file__).with_name(f"fidelity_{name}.py")) for name in ("load", "watch"))
    one, two, results = net.network["h1"], net.network["h2"], net.results
    server = two.popen([sys.executable, load, "serve"])
    net["h2"].wait_for("LISTEN")
    watching = []
    for kind in argument["watch"]:
        for host in (one,) if kind == "tracepoint" else (one, two):
            out = str(results / f"{kind}-{host.name}.json")
            pause = str(argument["pauses"].get(kind, 0))
            watching.append(host.popen([sys.executable, watch, kind, pause, out]))
    net.sleep(2)  # time for their imports
    began, before = time.monotonic(), recorder_time(net)
    words = [sys.executable, load, str(argument["rate"]), str(argument["number"]), str(results / "log")]
    one.popen(words).wait()
    net.sleep(1)
    net.recorder.sync()  # include the time for what it has not read yet
    ran, waited = (after - then for after, then in zip(recorder_time(net), before, strict=True))
    own = {"cpu": ran, "waited": waited, "seconds": time.monotonic() - began}
    (results / "own.json").write_text(json.dumps(own))
    for each in watching:
        each.send_signal(signal.SIGTERM)
    for each in watching:
        each.wait()
    server.kill()
    server.wait()


def run(kernel_name: str, rate: int, number: int, watch: tuple[str, ...], pauses: dict[str, float]) -> dict[str, Any]:
    """One run: its figures by method."""
    from handshake_lab.experiment.execute import conducted
    from handshake_lab.kernel.choose import choose_kernel
    from handshake_lab.plan.run_plan import RunPlan

    kernel = choose_kernel(kernel_name, 1, wall_limit=500)
    argument = {"rate": rate, "number": number, "pauses": pauses, "watch": watch}
    plan = RunPlan(script="benchmarks.fidelity:script", argument=argument, kernel=kernel.info)
    with conducted(plan, kernel, import_from=(ROOT,)) as done:
        reported = json.loads((done.directory / "log").read_text())
        own = json.loads((done.directory / "own.json").read_text())
        true = {
            (side, int(port), state)
            for port, way in reported["ways"].items()
            for side, states in zip(("client", "server"), TRUTH[way], strict=True)
            for state in states
        }
        closed = {(side, port, state) for side, port, _ in true for state in ("CLOSED", PERHAPS)}
        seen: Seen = set()
        inferred: Seen = set()
        for end in done.record.endpoints:
            place = side_of(end.local.port, end.remote.port)
            for step in end.transitions if place else ():
                if str(step.new) != "LISTEN":
                    (inferred if step.inferred else seen).add((*place, str(step.new)))
        found: dict[str, Any] = {
            "reached": reported["reached"],
            "connections": len(reported["ways"]),
            "joined": _joined(done.record, reported["ways"]),
            "causes": sum(len(end.transitions) for end in done.record.endpoints),
            "causes unknown": sum(
                step.cause.kind == "unknown" for end in done.record.endpoints for step in end.transitions
            ),
            "endpoints of none": sum(
                end.role != "listener" and side_of(end.local.port, end.remote.port) is None
                for end in done.record.endpoints
            ),
            "transitions": len(true),
            "observations": len(done.observations),
            "unseen": len(true - seen),
            "unseen, but inferred": len((true - seen) & inferred),
            "inferred wrongly": len(inferred - true - closed),
            "objections": [str(each) for each in done.record.objections],
            "waited": own["waited"] / own["seconds"],
            "watch": {RECORDER: _figures(seen, true, closed, own["cpu"], own["seconds"], 0)},
        }
        for kind in watch:
            each = [json.loads(file.read_text()) for file in sorted(done.directory.glob(f"{kind}-*.json"))]
            seen = {(side, port, state) for one in each for side, port, state in one["seen"]}
            cpu, polls = sum(one["cpu"] for one in each), sum(one["polls"] for one in each)
            found["watch"][kind] = _figures(seen, true, closed, cpu, own["seconds"], polls)
    return found


def _joined(record: Record, ways: dict[str, str]) -> int:
    """How many connections are one pair of endpoints, each with all of its states in their order and no others.

    The end of TIME-WAIT, which is not waited for, may be missing.
    """
    ends: dict[tuple[str, int], list[list[str]]] = {}
    for end in record.endpoints:
        place = side_of(end.local.port, end.remote.port)
        if place and end.role != "listener":
            ends.setdefault(place, []).append([str(state) for state in end.states if state not in ("CLOSED", "LISTEN")])
    for port, way in ways.items():
        if way == "q":
            for states in ends.get(("client", int(port)), ()):
                states[:] = [state for state in states if state != PERHAPS]
    whole = 0
    for port, way in ways.items():
        truth = [[state for state in states if state not in ("CLOSED", "LISTEN")] for states in TRUTH[way]]
        whole += [ends.get((side, int(port))) for side in ("client", "server")] == [[states] for states in truth]
    return whole


def _figures(seen: Seen, true: Seen, closed: Seen, cpu: float, seconds: float, polls: int) -> dict[str, float]:
    return {
        "seen": 100 * len(seen & true) / len(true),
        "invented": len(seen - true - closed),
        "cpu": cpu,
        "share": cpu / seconds,
        "polls": polls,
    }


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {
        name: middle([each[name] for each in runs])
        if isinstance(runs[0][name], dict)
        else statistics.median(each[name] for each in runs)
        for name in runs[0]
        if name != "objections"
    }


def row(kernel: str, rate: int, number: int, found: dict[str, Any], *, real: bool) -> list[str]:
    """The table row of one rate."""
    cells = [kernel, f"{rate:,}", f"{found['reached']:,.0f}", f"{number:,}"]
    for who in (RECORDER, *LOOPS, "tracepoint"):
        figures = found["watch"].get(who)
        if figures is None:
            cells.append(NOBODY)
            continue
        cost = f" ({figures['cpu'] / number * 1000:.1f} ms, {figures['share']:.0%})" if real else ""
        cells.append(f"{figures['seen']:.2f}{cost}")
    invented = " / ".join(f"{found['watch'][who]['invented']:.0f}" for who in (RECORDER, "tracepoint"))
    return [*cells, f"{found['unseen']:.0f}", f"{found['unseen, but inferred']:.0f}", invented]


def write(rows: list[list[str]]) -> None:
    """Write rows into the page; they replace those of the same kernel and rate, with or without the loops."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("| kernel |")) + 2
    last = next(place for place in range(first, len(lines)) if not lines[place].startswith("|"))
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first:last]]
    for new in rows:
        same = [old for old in table if (old[0], old[1], old[5] == NOBODY) == (new[0], new[1], new[5] == NOBODY)]
        table = [old for old in table if old not in same] + [new]
    order = {"host": 0, "lab": 1}
    table.sort(key=lambda cells: (order.get(cells[0], 2), cells[5] == NOBODY, int(cells[1].replace(",", ""))))
    lines[first:last] = ["| " + " | ".join(cells) + " |" for cells in table]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default="host")
    parser.add_argument("--rate", type=int, choices=RATES, action="append")
    parser.add_argument("--connections", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="omit the loops")
    parser.add_argument("--write", action="store_true", help="write the medians to docs/explanation/fidelity.md")
    chosen = parser.parse_args()
    real = not chosen.kernel.startswith("lab")
    watch = ("tracepoint",) if chosen.alone else (*LOOPS, "tracepoint")
    pauses: dict[str, float] = {}
    if not real and not chosen.alone:
        polls = costs("host", 100)["nothing changed"]
        pauses = {name: polls[name][0] / 1e6 for name in LOOPS}
        print("pauses: " + ", ".join(f"{name} {pause * 1e3:.1f} ms" for name, pause in pauses.items()))
    rows = []
    for rate in chosen.rate or RATES:
        number = chosen.connections or RATES[rate]
        runs = []
        for _ in range(chosen.runs):
            found = run(chosen.kernel, rate, number, watch, pauses)
            runs.append(found)
            reported = " ".join(row(chosen.kernel, rate, number, found, real=real))
            print(f"{reported} | waited {found['waited']:.0%}, load {os.getloadavg()[0]:.0f}", flush=True)
            print(f"    {json.dumps(found)}", flush=True)
        rows.append(row(chosen.kernel, rate, number, middle(runs), real=real))
    if chosen.write:
        write(rows)


if __name__ == "__main__":
    main()
