"""Where the kernel is: do the job that was laid down, and leave its exit status.

Run as ``python -m handshake_lab.kernel.shared.job_runner SCRATCH`` on the host's kernel; in a lab kernel,
`handshake_lab.kernel.lab.lab_guest` calls it once it has made the guest's world.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

#: The job that this process does, once it does one.
current: dict[str, Any] = {}

#: The status of a job that raised: EX_SOFTWARE. Its traceback is on the console.
RAISED = 70


def read_job(scratch: str) -> dict[str, Any]:
    """The job that `handshake_lab.kernel.shared.job.hand_over` laid down."""
    job: dict[str, Any] = json.loads(Path(scratch, "job.json").read_bytes())
    return job


def leave_status(scratch: str, status: int) -> None:
    """Write the exit status down: without it, the job did not come to its end."""
    Path(scratch, "status").write_text(str(status))


def do(job: dict[str, Any]) -> int:
    """Call the job's function; what it returns is the exit status, and `RAISED` where it raises."""
    current.update(job)
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.path += job["import_from"]
    module, _, function = job["call"].partition(":")
    try:
        status = getattr(importlib.import_module(module), function)(job["argument"], Path(job["results"]))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001  this is the last stop of whatever the job raises
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
    # As the module that others import, to ask it for the job.
    importlib.import_module("handshake_lab.kernel.shared.job_runner").main()
