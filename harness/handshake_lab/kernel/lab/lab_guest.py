"""The first process inside a lab kernel: makes a small world, does one job, powers off.

The root is the host's own file tree, read-only through hostfs. Everything that is
written goes to memory, except for the job's results.
Started by `handshake_lab.kernel.lab.lab_boot` as ``init=python … -m handshake_lab.kernel.lab.lab_guest SCRATCH``.

A kernel that was booted for one job and one that is parked and forked for it come the same way: what was done before
the job, and in which order, must not differ between them.
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

from handshake_lab.kernel.shared import job_runner
from handshake_lab.kernel.shared.guest_setup import furnish, in_child, is_private, mount, power_off, unmount
from handshake_lab.linux.machine_fork import park
from handshake_lab.linux.randomness import seed_randomness

_MS_RDONLY = 1


def mount_host(directory: str, *, writable: bool, at: str = "") -> None:
    """Show a directory of the host at its own path, or at another."""
    Path(at or directory).mkdir(parents=True, exist_ok=True)
    mount("none", at or directory, "hostfs", directory, 0 if writable else _MS_RDONLY)


def unmount_host(directory: str) -> None:
    """Undo `mount_host`, without a trace."""
    unmount(directory)
    if is_private(directory):
        os.removedirs(directory)


def _preload(modules: list[str]) -> None:
    """Import what the job needs, and come to rest."""
    for module in modules:
        importlib.import_module(module)
    # The next collections need not walk through all of this, which would make a fork copy it.
    gc.collect()
    gc.freeze()
    # Memory that the kernel is about to free (after a grace period of RCU) need not be copied, either.
    time.sleep(0.1)


def _loaded_files() -> list[dict[str, object]]:
    """Files whose content this process has in its memory: modules and libraries, as they were when they were read."""
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = {line[line.index("/") :] for line in lines if "/" in line}
    found = []
    for path in sorted(filter(None, modules | mapped)):
        try:
            read = os.stat(path)  # noqa: PTH116
        except OSError:  # such as "[frozen]", or a file that was replaced meanwhile
            continue
        found.append({"path": path, "size": read.st_size, "mtime_ns": read.st_mtime_ns})
    return found


def _begin(job: dict[str, Any]) -> None:
    """From here on, what is random follows from the job's seed; and the clock shows a whole tenth of a second.

    Each reading of the clock moves it by a hair: how often that was done before must not show.
    """
    time.sleep(-time.monotonic_ns() % 100_000_000 / 1e9)
    seed_randomness(job["seed"])
    if random := sys.modules.get("random"):
        random.seed()


def _prepare_and_do(boot: dict[str, Any], scratch: str, place: int) -> int:
    """Come as far as the job and do it; ``place`` is a pipe for the scratch directory in which its status belongs."""
    _preload(boot["preload"])
    # Also where nobody asks for it: numbers of inodes and devices are given out in the order of what was done.
    Path(scratch, "loaded.json").write_text(json.dumps(_loaded_files()))
    unmount_host(scratch)
    if boot["parks"]:
        scratch = sys.argv[1] = park()
    mount_host(scratch, writable=True)
    os.write(place, scratch.encode())
    os.close(place)
    # Directories may have changed while the machine was parked.
    importlib.invalidate_caches()
    job = job_runner.read_job(scratch)
    for directory in job["readable"]:
        if is_private(directory) and directory not in boot["readable"]:
            mount_host(directory, writable=False)
    mount_host(job["results"], writable=True)
    _begin(job)
    return job_runner.do(job)


def main() -> None:
    """Make the world, in which the scratch directory stays where it is on the host, and do the job."""
    scratch = sys.argv[1]
    boot = json.loads(Path(scratch, "boot.json").read_bytes())
    furnish()
    mount_host(scratch, writable=True)
    for directory in boot["readable"]:
        if is_private(directory):
            mount_host(directory, writable=False)
    reader, writer = os.pipe()

    def work() -> int:
        os.close(reader)
        return _prepare_and_do(boot, scratch, writer)

    status = in_child(work)
    os.close(writer)
    job_runner.leave_status(os.read(reader, 4096).decode() or scratch, status)
    power_off()


if __name__ == "__main__":
    main()
