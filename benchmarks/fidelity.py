"""How many of the true transitions each way of watching sees, and what it costs.

    python benchmarks/fidelity.py --kernel host                        on this machine's kernel
    python benchmarks/fidelity.py --kernel lab                         on the lab kernel
    python benchmarks/fidelity.py --kernel host --rate 1000 --runs 1   one rate only, once
    python benchmarks/fidelity.py --kernel host --write                and put the tables into docs/fidelity.md

Two programs open and close connections in three ways; from their log follows which states each
end must have gone through. Four watch the same run: this recorder; `ss` in a loop without a
pause; pyroute2's DiagSocket in a loop without a pause; the tracepoint alone. The loops get one
process for each host, and get the end of a connection for free: what they no longer see counts
as seen CLOSED. TIME-WAIT's own end, a minute later, is not waited for. ``--alone`` leaves the loops
out: they take what processor time there is.

On the lab kernel computing takes no time, and a loop without a pause never ends: there each look
is followed by a pause as long as such a look takes on this machine's kernel, measured first.

Processor time is that of the recorder's own thread, and of the others' processes with the programs
that they run; the time that the recorder's thread was ready to run and had to wait is told beside it.
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

from benchmarks.snapshots import costs  # noqa: E402

from benchmarks.fidelity_load import TRUTH  # noqa: E402 -- once it can be found
from benchmarks.fidelity_watch import Seen, side_of  # noqa: E402

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net

#: Connections per second, and how many are made.
RATES = {1: 10, 10: 60, 100: 300, 1000: 2000}
LOOPS = ("ss", "pyroute2")
RECORDER = "this recorder"
NOBODY = "-"
PAGE = ROOT / "docs" / "fidelity.md"


def recorder_time(net: Net) -> tuple[float, float]:
    """Seconds that the recorder's thread has run, and that it has waited for a processor (proc(5), schedstat)."""
    thread = net.recorder._thread
    assert thread.ident is not None  # noqa: S101 -- it runs
    schedstat = Path(f"/proc/self/task/{thread.native_id}/schedstat")
    waited = int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident)), waited


def script(net: Net, argument: Any) -> None:
    """Where the kernel is: start those who watch, then the load; then tell them to end."""
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
    net.sleep(2)  # they import
    began, before = time.monotonic(), recorder_time(net)
    words = [sys.executable, load, str(argument["rate"]), str(argument["number"]), str(results / "log")]
    one.popen(words).wait()
    net.sleep(1)
    net.recorder.sync()  # what it has not read yet is still to be paid for
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
    """One run: its figures, by who watched."""
    from handshake_lab.cli.options import choose_kernel
    from handshake_lab.experiment.execute import conducted
    from handshake_lab.plan.run_plan import RunPlan

    kernel = choose_kernel(kernel_name, 1, wall_limit=500)
    argument = {"rate": rate, "number": number, "pauses": pauses, "watch": watch}
    with conducted(RunPlan(script="benchmarks.fidelity:script", argument=argument, kernel=kernel.info), kernel) as done:
        reported = json.loads((done.directory / "log").read_text())
        own = json.loads((done.directory / "own.json").read_text())
        true = {
            (side, int(port), state)
            for port, way in reported["ways"].items()
            for side, states in zip(("client", "server"), TRUTH[way], strict=True)
            for state in states
        }
        closed = {(side, port, "CLOSED") for side, port, _ in true}
        seen: Seen = set()
        inferred: Seen = set()
        for end in done.record.endpoints:
            place = side_of(end.local.port, end.remote.port)
            for step in end.transitions if place else ():
                if str(step.new) != "LISTEN":
                    (inferred if step.inferred else seen).add((*place, str(step.new)))
        found: dict[str, Any] = {
            "reached": reported["reached"],
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
            cpu, snapshots = sum(one["cpu"] for one in each), sum(one["looks"] for one in each)
            found["watch"][kind] = _figures(seen, true, closed, cpu, own["seconds"], snapshots)
    return found


def _figures(seen: Seen, true: Seen, closed: Seen, cpu: float, seconds: float, snapshots: int) -> dict[str, float]:
    return {
        "seen": 100 * len(seen & true) / len(true),
        "invented": len(seen - true - closed),
        "cpu": cpu,
        "share": cpu / seconds,
        "looks": snapshots,
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
    """What the tables tell of one rate."""
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
    """Put rows into the page, in place of this kernel's at the same rate, with or without the loops."""
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
    parser.add_argument("--alone", action="store_true", help="without the loops")
    parser.add_argument("--write", action="store_true", help="put the medians into docs/fidelity.md")
    chosen = parser.parse_args()
    real = not chosen.kernel.startswith("lab")
    watch = ("tracepoint",) if chosen.alone else (*LOOPS, "tracepoint")
    pauses: dict[str, float] = {}
    if not real and not chosen.alone:
        snapshots = costs("host", 100)["nothing changed"]
        pauses = {name: snapshots[name][0] / 1e6 for name in LOOPS}
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
