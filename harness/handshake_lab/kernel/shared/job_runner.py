"""Runs in the kernel of a run: reads the job from the scratch directory, does it, and writes its exit status.

Run as ``python -m handshake_lab.kernel.shared.job_runner SCRATCH`` on the host's kernel; in a lab kernel,
`handshake_lab.kernel.lab.lab_guest` calls it after it has mounted file systems.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

#: The job that this process is doing; empty before it begins.
current: dict[str, Any] = {}

#: The status of a job that raised: EX_SOFTWARE. Its traceback is on the console.
RAISED = 70


def read_job(scratch: str) -> dict[str, Any]:
    """The job that `handshake_lab.kernel.shared.job.hand_over` wrote."""
    job: dict[str, Any] = json.loads(Path(scratch, "job.json").read_bytes())
    return job


def leave_status(scratch: str, status: int) -> None:
    """Write the exit status; a missing status means that the job did not finish."""
    Path(scratch, "status").write_text(str(status))


def do(job: dict[str, Any]) -> int:
    """Call the job's function and return its exit status; `RAISED` if it raises."""
    current.update(job)
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.path += job["import_from"]
    module, _, function = job["call"].partition(":")
    try:
        status = getattr(importlib.import_module(module), function)(job["argument"], Path(job["results"]))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001  no caller handles what the job raises
        traceback.print_exc()
        return RAISED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0 if status is None else int(status)


def main() -> None:
    """Do the job in this process."""
    scratch = sys.argv[1]
    leave_status(scratch, do(read_job(scratch)))


if __name__ == "__main__":
    # Not as __main__: other modules import this one to read `current`.
    importlib.import_module("handshake_lab.kernel.shared.job_runner").main()
