"""The host kernel: this machine's own, in private namespaces, in real time.

It needs no privilege if the machine allows user namespaces. Any number of runs can take place at a time.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.host import private_namespaces
from handshake_lab.kernel.shared.job import PACKAGE_ROOT, PACKAGES, Job, JobResult, hand_over
from handshake_lab.kernel.shared.job_outcome import outcome
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOCK_MONOTONIC_COARSE = 6  # include/uapi/linux/time.h

_REMEDY = (
    "If unprivileged user namespaces are disabled, enable them (Ubuntu: sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0; Debian: sysctl kernel.unprivileged_userns_clone=1; "
    "in a container: the option --privileged), or use sudo. --kernel lab needs none of this."
)


class HostKernel:
    """Does one job at a time in private namespaces on this machine's kernel.

    Args:
        supervisor: The compiled ``supervisor.c``.
        wall_limit: Seconds after which all processes of the job are killed.
    """

    def __init__(self, supervisor: Path, *, wall_limit: float) -> None:
        self._supervisor = supervisor
        self._wall_limit = wall_limit

    @property
    def info(self) -> KernelInfo:
        """The description in a record. There is no seed: randomness is real."""
        # The coarse clock advances once per tick (clock_getres(2)), so its resolution is 1/HZ.
        hz = round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE))
        return KernelInfo(kind="host", release=platform.release(), hz=hz, seed=None)

    @contextmanager
    def run(self, job: Job) -> Iterator[JobResult]:
        """Make the namespaces and do the job; they are removed when it ends.

        Raises:
            KernelFailed: The job was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: This machine does not permit private namespaces.
        """
        scratch = new_scratch()
        shown = [PACKAGE_ROOT, *PACKAGES, *job.import_from, Path(sys.prefix), Path(sys.base_prefix), *job.readable]
        setup = {
            "argv": [sys.executable, "-P", "-m", "handshake_lab.kernel.shared.job_runner", str(scratch)],
            "environment": {"PYTHONPATH": str(PACKAGE_ROOT)},
            "results": str(job.results) if job.results else None,
            "shown": [str(scratch), *(str(path.resolve()) for path in shown)],
        }
        program = [sys.executable, "-I", "-S", str(private_namespaces.__file__), json.dumps(setup)]
        with Supervisor(self._supervisor, scratch, program, None, wall_limit=self._wall_limit, pinned=False) as running:
            results = hand_over(job, scratch, {**os.environ, "HANDSHAKE_PRIVATE": "1"})
            ending = running.run()
            refused = ending.word == "exit" and ending.detail == str(private_namespaces.REFUSED)
            if refused and not (scratch / "status").exists():
                raise EnvironmentUnsupported(
                    f"this machine does not permit unprivileged namespaces: {ending.console.strip()}", _REMEDY
                )
            yield outcome(ending, scratch, results, kernel="the run", limit=self._wall_limit)
