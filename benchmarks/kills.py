"""Kills controllers, supervisors, parked kernels and forks at random moments, and looks for what they leave.

    python benchmarks/kills.py                    50 kills
    python benchmarks/kills.py --kills 1000 --seed 7

A controller forks kernels for short jobs, one after another, and starts again after a failure. Each kill hits one of
its processes, of a kind and at a moment that are drawn. When the controller is gone, nothing may stay: no process,
no scratch directory, no memory file. The exit status is 1 if something stayed.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO

CONTROLLER = """
import time
from handshake_lab.errors import HandshakeError
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.shared.job import Job

image = provide_lab.ensure()
while True:
    try:
        with LabKernel(image, fresh_boot=False).run(Job(call="builtins:print")):
            print("done", time.monotonic(), flush=True)
    except HandshakeError:
        print("failed", time.monotonic(), flush=True)
"""
#: Seconds within which everything of a killed controller must be gone.
GONE_WITHIN = 20.0
#: How many kills a controller survives before it is killed itself.
PER_CONTROLLER = 10


def processes_in(directory: Path) -> dict[int, int]:
    """The processes whose working directory or memory file is below a directory, each with its parent."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(directory):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def victims(controller: int, directory: Path) -> dict[str, list[int]]:
    """The processes of a controller that can be killed, by kind."""
    below = processes_in(directory)
    supervisors = {parent for parent in below.values() if parent not in below}
    kernels = [pid for pid, parent in below.items() if parent in supervisors]
    return {
        "controller": [controller],
        "supervisor": sorted(supervisors),
        "parked kernel or fork": kernels,
        "userspace process": [pid for pid in below if pid not in kernels],
    }


def wait_for_jobs(reports: IO[bytes]) -> None:
    """Wait for two jobs to be done from now on: the second one began after whatever was killed has been replaced."""
    now, done = time.monotonic(), 0
    while done < 2 and (report := reports.readline().split()):
        done += report[0] == b"done" and float(report[1]) > now


def kill_some(chance: random.Random, limit: int, counted: Counter[str]) -> list[str]:
    """Run a controller until it is killed, or has survived enough; returns what it left."""
    with tempfile.TemporaryDirectory(prefix="handshake-kills-") as name:
        directory = Path(name).resolve()
        environment = {**os.environ, "TMPDIR": str(directory)}
        with subprocess.Popen(
            [sys.executable, "-c", CONTROLLER], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout  # noqa: S101
            for _ in range(limit):
                wait_for_jobs(process.stdout)
                time.sleep(chance.uniform(0, 0.1))
                choice = {kind: pids for kind, pids in victims(process.pid, directory).items() if pids}
                kind = chance.choice(sorted(choice))
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    os.kill(chance.choice(choice[kind]), signal.SIGKILL)
                    counted[kind] += 1
                if kind == "controller":
                    break
            if process.poll() is None:
                wait_for_jobs(process.stdout)
            process.kill()
        deadline = time.monotonic() + GONE_WITHIN
        while (left := _left(directory)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def _left(directory: Path) -> list[str]:
    return [f"process {pid}" for pid in processes_in(directory)] + [str(path) for path in directory.iterdir()]


def main() -> int:
    """Kill, and print what stayed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="how many (default: 50)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which, and when (default: 1)")
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)  # noqa: S311  not a secret
    counted: Counter[str] = Counter()
    stayed: list[str] = []
    while counted.total() < wanted.kills:
        stayed += kill_some(chance, min(PER_CONTROLLER, wanted.kills - counted.total()), counted)
    print(f"{counted.total()} kills: {', '.join(f'{count} of a {kind}' for kind, count in sorted(counted.items()))}")
    print("nothing stayed" if not stayed else "\n".join(["left behind:", *stayed]))
    return int(bool(stayed))


if __name__ == "__main__":
    sys.exit(main())
