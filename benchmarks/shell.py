"""A long session of the shell: what it keeps, and whether its futures are those of their commands.

    python benchmarks/shell.py                          a hundred steps, and thirty times back

Each time back, the future that is left is compared, byte by byte, with a run of the same commands from the start.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from handshake_lab.experiment.execute import conducted, job_of
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import check_requests, parse_links
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.shell import moments as moments_module
from handshake_lab.shell.moments import Moments
from handshake_lab.shell.session import Session, Setting
from handshake_lab.shell.shell_job import shell_plan

LINKS = ("delay=25ms",)
_BEGIN = ("py server = h2.listen(80)", "py client = h1.connect(server)", "step", "step", "step")
_SEND = "py client.send(b'x' * 60_000)"


def memory() -> int:
    """Proportional set size of all descendants of this process, in kB, and how many scratch directories there are."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    own = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in own} - own:
        own |= more
    total = 0
    for process in own - {os.getpid()}:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def scratches() -> int:
    """How many scratch directories there are."""
    return sum(1 for _ in Path(tempfile.gettempdir()).glob("handshake-*"))


def main() -> int:
    """Print the figures. Returns 1 if a future differs, or more is kept than the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--backs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the places to which it goes back")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)  # noqa: S311 -- no secret
    kernel = choose_kernel("lab", 1, fresh_boot=False)
    assert isinstance(kernel, LabKernel)  # noqa: S101 -- by its name
    specs = parse_links(LINKS)
    futures = []
    took, went_back, sizes, most = [], [], [], 0
    before = scratches()
    with job_of(shell_plan(kernel.info, links=specs)) as job, Moments(job, kernel) as moments:
        session = Session(moments, Setting(check_requests("pair", specs, ()), "pair", LINKS, {}, 1))
        for command in (*_BEGIN, _SEND):
            session.execute(command)
        backs = sorted(chance.sample(range(1, asked.steps + 1), asked.backs))
        for number in range(1, asked.steps + 1):
            began = time.perf_counter()
            fate = chance.choice(("step", "step", "step", "drop", "delay 30ms", "duplicate"))
            session.execute(fate if session.now.number else "step")
            took.append(time.perf_counter() - began)
            if number in backs:
                futures.append(session.now)
                began = time.perf_counter()
                session.execute(f"back {chance.randint(1, min(15, len(session.now.commands) - len(_BEGIN) - 1) or 1)}")
                moments.record(session.now)  # its machine, made again if it was ended
                went_back.append(time.perf_counter() - began)
            most = max(most, scratches() - before)
            if number % 10 == 0:
                sizes.append(memory())
        print(f"{asked.steps} steps: median {1000 * statistics.median(took):.0f} ms, longest {1000 * max(took):.0f} ms")
        print(
            f"{asked.backs} times back, with the record there: median {1000 * statistics.median(went_back):.0f} ms, "
            f"longest {1000 * max(went_back):.0f} ms"
        )
        print(
            f"parked machines: at most {most}, bound {moments_module.KEPT} + the first + the kernel + one in the making"
        )
        print("memory of the kernels after every ten steps, MB:", " ".join(f"{size / 1024:.0f}" for size in sizes))
        differing = 0
        for future in futures:
            with moments.ended(future) as results:
                kept = (results / EVENTS).read_bytes()
            plan = shell_plan(kernel.info, links=specs, follow=future.commands)
            with conducted(plan, kernel) as run:
                assert run.directory  # noqa: S101 -- it was just carried out
                differing += (run.directory / EVENTS).read_bytes() != kept
        print(f"futures that differ from their commands from the start: {differing} of {len(futures)}")
    return int(differing > 0 or most > moments_module.KEPT + 4)


if __name__ == "__main__":
    sys.exit(main())
