"""What an exploration costs, and how soon it finds something: ratios, because figures depend on the machine.

    python benchmarks/explore.py            all of it: some minutes
    python benchmarks/explore.py walk       double losses of an exchange: rate; beside whole runs, and fresh boots
    python benchmarks/explore.py find       runs to each planted bug: exhaustive, guided, and random seeds at --loss 20%

The programs with planted bugs are in tests/explore/planted/.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from handshake_lab.experiment.execute import conducted, job_of
from handshake_lab.explore.search import extended
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.target import Target
from handshake_lab.explore.walk import Walker
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan

ROOT = Path(__file__).resolve().parents[1]
PLANTED = ROOT / "tests" / "explore" / "planted"
EXCHANGE = "handshake_lab.experiment.workloads.request_response:script"
#: Runs with random loss after which a bug counts as not found.
_MOST_SEEDS = 60
#: For each planted bug, the faults that can show it; the others are shown by a single loss.
OF = {"reset_at_idle": "reset", "dead_accept_loop": "reset", "no_read_timeout": "reset"}
TWO_FAULTS = ("one_retry",)


def walk() -> None:
    """Every single and double loss of a handshake, an exchange and a close."""
    kernel = partial(choose_kernel, "lab", 1, fresh_boot=False)
    plan = RunPlan(script=EXCHANGE, links=parse_links(["delay=50ms"]), kernel=kernel().info)
    with job_of(plan) as job, Walker(Target("exchange", job, kernel, lambda _: None, ("edges",))) as walker:
        (base,) = walker.walk([()])
        settings = Settings()
        began, forks = time.perf_counter(), walker.forks
        ones = list(walker.walk(extended(base, settings)))
        twos = list(walker.walk([fates for one in ones for fates in extended(one, settings)]))
        took = time.perf_counter() - began
        runs = len(ones) + len(twos)
        failed = sum(outcome.failed is not None for outcome in (*ones, *twos))
        print(f"every single and double loss of {len(base.points)} segments: {runs} runs in {took:.1f} s", end="")
        print(f" ({runs / took:.1f}/s), {walker.forks - forks} forks, {failed} not as documented")
        events = sum(len(outcome.points) for outcome in (*ones, *twos))
        shared = sum(outcome.fates[-1].segment - 1 for outcome in (*ones, *twos))
        print(f"of {events} segments in all runs, {shared} ({shared / events:.0%}) are before the last fault")
    each = took / runs
    started = []
    for fresh in (False, True):
        lab = choose_kernel("lab", 1, fresh_boot=fresh)
        with conducted(plan, lab):
            pass  # the first run of a kernel boots it
        began = time.perf_counter()
        for _ in range(5):
            with conducted(plan, lab):
                pass
        started.append((time.perf_counter() - began) / 5)
    print(f"a branch: {each * 1000:.0f} ms; a run from its start, in a fork: {started[0] * 1000:.0f} ms", end="")
    print(
        f" ({started[0] / each:.1f} times); in a fresh boot: {started[1] * 1000:.0f} ms ({started[1] / each:.1f} times)"
    )


def find() -> None:
    """Runs until each planted bug is found."""
    ratios = []
    print(f"{'bug':<20}{'exhaustive':>12}{'random order':>14}{'random seeds, loss 20%':>24}")
    for program in sorted(PLANTED.glob("*.py")):
        name = program.stem
        of, faults = OF.get(name, "drop"), 2 if name in TWO_FAULTS else 1
        counts = [_explored(program, f"faults={faults} of={of} findings=1 shuffle={order}") for order in (0, 3)]
        seeds = _seeds(program)
        ratios.append((seeds or _MOST_SEEDS) / (counts[0] or _MOST_SEEDS))
        shown = str(seeds) if seeds else f"none in {_MOST_SEEDS}"
        print(f"{name:<20}{counts[0] or '-':>12}{counts[1] or '-':>14}{shown:>24}", flush=True)
    print(f"median of the ratios of random seeds to the search in its own order: {statistics.median(ratios):.1f}")


def _explored(program: Path, settings: str) -> int:
    """The number of the run that found the first finding; 0 if there is none."""
    text = _pytest(program, ["--handshake-explore", settings.replace(" shuffle=0", "")])
    found = re.search(r"found by run (\d+)", text)
    return int(found[1]) if found else 0


def _seeds(program: Path) -> int:
    """The first seed with which the test fails under random loss; 0 if there is none."""
    source = program.read_text().replace("def test_shop", "@pytest.mark.handshake_lossy(loss='20%')\ndef test_shop")
    with tempfile.TemporaryDirectory() as place:
        lossy = Path(place, program.name)
        lossy.write_text(source)
        text = _pytest(lossy, ["--handshake-seeds", f"1-{_MOST_SEEDS}", "-x", "-rf"])
    found = re.search(r"FAILED .*\[(?:\D*)(\d+)", text)
    return int(found[1]) if found else 0


def _pytest(program: Path, words: list[str]) -> str:
    with tempfile.TemporaryDirectory() as place:
        test = Path(place, "test_it.py")
        test.write_text(program.read_text())
        line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(test)]
        return subprocess.run(line, cwd=place, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    for asked in sys.argv[1:] or ("walk", "find"):
        {"walk": walk, "find": find}[asked]()
