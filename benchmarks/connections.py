"""What a connection costs: to record it in a lab kernel, to reconcile it, to judge it, to show it.

    python benchmarks/connections.py                               1,000 connections
    python benchmarks/connections.py --connections 4000
    python benchmarks/connections.py --profile reconcile           where the time of a stage goes

The times are processor time of this process, except for "record": that is wall time, of a kernel that is booted for it.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import cProfile
import functools
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.report.kept_run import write_capture, write_page
from handshake_lab.report.terminal.ladder import text
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "tests.recorder.thousand:script"
STAGES = ("record", "read", "reconcile", "judge", "page", "capture", "ladder")
#: How many functions of a profile are shown.
SHOWN = 25

T = TypeVar("T")


class Stages:
    """Runs stages, and prints what each costs.

    Args:
        connections: How many connections the run has.
        profiled: The stage whose profile is printed; "" for none.
    """

    def __init__(self, connections: int, profiled: str) -> None:
        self._connections = connections
        self._profiled = profiled

    def run(self, name: str, work: Callable[[], T], clock: Callable[[], float] = time.process_time) -> T:
        """Do a stage's work and return its result."""
        profile = cProfile.Profile()
        began = clock()
        result = profile.runcall(work) if name == self._profiled else work()
        print(f"{name:10} {1000 * (clock() - began) / self._connections:7.3f} ms for each connection", flush=True)
        if name == self._profiled:
            pstats.Stats(profile).sort_stats("tottime").print_stats(SHOWN)
        return result


def record(connections: int, directory: Path) -> None:
    """Record connections, a quarter closed in each of four ways."""
    kernel = LabKernel(provide_lab.ensure(), wall_limit=60 + connections / 10)
    plan = RunPlan(script=SCRIPT, argument=connections, links=parse_links(["delay=5ms"]), kernel=kernel.info)
    with conducted(plan, kernel, directory, import_from=(ROOT,)):
        pass


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000, metavar="N", help="how many (default: 1000)")
    parser.add_argument("--profile", choices=STAGES[1:], default="", help="print the profile of this stage")
    wanted = parser.parse_args()
    stages = Stages(wanted.connections, wanted.profile)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        stages.run("record", lambda: record(wanted.connections, directory), time.perf_counter)
        observations = stages.run("read", lambda: read(directory)).observations
        found = stages.run("reconcile", lambda: reconcile(observations))
        verdict = stages.run("judge", lambda: judge(found))
        page = functools.partial(write_page, directory, found, observations, title="Connections", verdict=verdict)
        stages.run("page", lambda: page(back="", lang="en"))
        stages.run("capture", lambda: write_capture(directory, found, observations))
        stages.run("ladder", lambda: text(found, verdict=verdict))
        print(f"{len(observations) / wanted.connections:.1f} observations for each connection")
    return 0


if __name__ == "__main__":
    sys.exit(main())
