"""Where jobs with the same beginning part: the first of them is parked there, and each is done by a fork of it.

A job with a `stage` calls `reach_stage` when it comes to the point up to which all jobs of that stage are the same.
In a kernel that was booted for the job alone, the same steps lead on to the job's own part.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from handshake_lab.kernel.lab.hostfs import mount_host
from handshake_lab.kernel.shared import job_runner
from handshake_lab.linux.machine_fork import park
from handshake_lab.linux.randomness import seed_randomness

#: The seed up to a stage, where the jobs' own are not known yet.
COMMON_SEED = 0
#: In a scratch directory: the files that a machine has read before it was parked.
LOADED_FILES = "loaded.json"


def rest() -> None:
    """Prepare for being forked: what is in memory now should not be written to without need."""
    # The next collections need not walk through all of this, which would make a fork copy it.
    gc.collect()
    gc.freeze()
    # Memory that the kernel is about to free (after a grace period of RCU) need not be copied, either.
    time.sleep(0.1)


def list_loaded_files(scratch: str) -> None:
    """Write down which files this process has in its memory, modules and libraries, as they were when it read them."""
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = {line[line.index("/") :] for line in lines if "/" in line}
    found = []
    for path in sorted(each for each in modules | mapped if isinstance(each, str)):
        try:
            read = os.stat(path)  # noqa: PTH116
        except OSError:  # such as "[frozen]", or a file that was replaced meanwhile
            continue
        found.append({"path": path, "size": read.st_size, "mtime_ns": read.st_mtime_ns})
    Path(scratch, LOADED_FILES).write_text(json.dumps(found))


def begin(seed: int) -> None:
    """From here on, what is random follows from a seed; and the clock shows a whole tenth of a second.

    Each reading of the clock moves it by a hair: how often that was done before must not show.
    """
    time.sleep(-time.monotonic_ns() % 100_000_000 / 1e9)
    seed_randomness(seed)
    if random := sys.modules.get("random"):
        random.seed()


def reach_stage() -> Any:
    """The end of what the jobs of a stage have in common.

    Returns:
        The argument of the job to go on with: in a parked machine's fork, that of the fork's own job. Its results go
        to the directory that the function of the job was called with.
    """
    job = job_runner.current
    if not job.get("stage"):
        return job["argument"]
    # These stay the paths inside, whatever directory of the host is there.
    scratch, results = job["scratch"], job["results"]
    rest()
    list_loaded_files(scratch)
    source = park() if job["parks"] else scratch
    mount_host(source, writable=True, at=scratch)
    importlib.invalidate_caches()
    own = job_runner.read_job(scratch)
    mount_host(own["results"], writable=True, at=results)
    # What this process has set since then stays.
    os.environ.update(own["environment"])
    hosts = {"host_scratch": source, "host_results": own["results"]}
    job_runner.current.update(own, scratch=scratch, results=results, **hosts)
    begin(own["seed"])
    return own["argument"]
