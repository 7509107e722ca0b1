"""Jobs that begin with the same steps: these are done once, the machine is parked, and each job continues in a fork.

A job with a `stage` calls `reach_stage` after the steps that all jobs of the stage have in common. In a kernel that was
booted for one job, `reach_stage` takes the same steps, but does not park.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from handshake_lab.kernel.lab.hostfs import mount_host
from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.parking import prepare_for_copies
from handshake_lab.linux.machine_fork import park
from handshake_lab.linux.randomness import seed_randomness

#: The seed of the common steps, during which the seed of a job is not known yet.
COMMON_SEED = 0
#: The file in a scratch directory that lists the files which a machine had read when it was parked.
LOADED_FILES = "loaded.json"


def list_loaded_files(scratch: str) -> None:
    """Write a list of the modules and libraries that this process has loaded; the host knows their times."""
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = {line[line.index("/") :] for line in lines if "/" in line}
    paths = sorted(each for each in modules | mapped if isinstance(each, str))
    found = [path for path in paths if os.path.exists(path)]  # noqa: PTH110  unlike "[frozen]"
    Path(scratch, LOADED_FILES).write_text(json.dumps(found))


def begin(seed: int) -> None:
    """Make all random numbers depend on a seed from now on, and the clock a multiple of 0.1 s.

    Each reading of the clock advances it slightly: the record must not depend on how often it was read before.
    """
    time.sleep(-time.monotonic_ns() % 100_000_000 / 1e9)
    seed_randomness(seed)
    if random := sys.modules.get("random"):
        random.seed()


def reach_stage() -> Any:
    """End the common steps of a stage's jobs; a machine that parks continues in its forks.

    Returns:
        The argument of the job: in a fork, that of the fork's own job. The directory for results, with which the
        job's function was called, is now that of the fork's job.
    """
    job = job_runner.current
    if not job.get("stage"):
        return job["argument"]
    # In the guest these paths stay the same, although other directories of the host are mounted there.
    scratch, results = job["scratch"], job["results"]
    prepare_for_copies()
    list_loaded_files(scratch)
    source = park() if job["parks"] else job["host_scratch"]
    mount_host(source, writable=True, at=scratch)
    importlib.invalidate_caches()
    own = job_runner.read_job(scratch)
    mount_host(own["results"], writable=True, at=results)
    # Variables that the common steps have set are kept.
    os.environ.update(own["environment"])
    hosts = {"host_scratch": source, "host_results": own["results"]}
    job_runner.current.update(own, scratch=scratch, results=results, **hosts)
    begin(own["seed"])
    return own["argument"]
