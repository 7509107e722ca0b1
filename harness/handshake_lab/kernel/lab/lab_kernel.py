"""The lab kernel: Linux built as User-Mode Linux, booted afresh for one job.

Time inside is virtual (``time-travel=inf-cpu``): computing takes none, waiting takes
no wall time. Randomness enters only through the C library's ``getrandom()``, which a
preloaded shim answers from the seed; with address randomization off, a run is a
function of its seed.
"""

from __future__ import annotations

import compileall
import os
import shlex
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.shared.job import INTERRUPTED, PACKAGE_ROOT, PACKAGES, Job, JobResult, hand_over
from handshake_lab.kernel.shared.supervisor import Ending, Supervisor, new_scratch
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

#: Virtual wall clock at boot: 2026-01-01 00:00:00 UTC, in seconds since the epoch.
CLOCK_START = 1_767_225_600

#: Free bytes that the file system of the kernel's memory must have: a run touches about a third.
MEMORY_ROOM = 256 << 20

#: What programs in the guest find in their environment.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108  a tmpfs of the guest's own
    "LANG": "C.UTF-8",
    "TERM": "linux",
    "PYTHONDONTWRITEBYTECODE": "1",  # the root is read-only
    "PYTHONUNBUFFERED": "1",
}


def memory_directory() -> str:
    """The directory for the kernel's memory file: it must allow execution, and have room.

    UML maps its processes' code from that file (arch/um/os-Linux/mem.c); /dev/shm is best.
    Where it is mounted ``noexec`` or small (many containers), TMPDIR, /tmp or /var/tmp do.

    Raises:
        EnvironmentUnsupported: None of them serves.
    """
    candidates = ["/dev/shm", os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108
    for directory in filter(None, candidates):
        if not os.access(directory, os.W_OK):
            continue
        found = os.statvfs(directory)
        if not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= MEMORY_ROOM:
            return directory
    raise EnvironmentUnsupported(
        f"no directory for the lab kernel's memory allows execution and has {MEMORY_ROOM >> 20} MiB free "
        f"(tried {', '.join(filter(None, candidates))})",
        "Set TMPDIR to a directory on a file system mounted without noexec.",
    )


class LabKernel:
    """Boots the lab kernel for one job at a time.

    Args:
        image: The built kernel.
        seed: Everything random in the run is a function of it.
        wall_limit: Seconds of real time after which the kernel is killed: virtual
            time does not pass while a program computes, so a loop that never blocks
            would never end.
        memory: The guest's memory, in MiB.
    """

    def __init__(self, image: LabKernelImage, *, seed: int = 1, wall_limit: float = 120.0, memory: int = 512) -> None:
        self._image = image
        self._seed = seed
        self._wall_limit = wall_limit
        self._memory = memory

    @property
    def info(self) -> KernelInfo:
        """What a record says of it."""
        return KernelInfo(kind="lab", release=self._image.release, hz=self._image.hz, seed=self._seed)

    @contextmanager
    def run(self, job: Job) -> Iterator[JobResult]:
        """Boot, do the job, power off. What was not asked to be kept vanishes at the end of the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        _compile_packages()
        scratch = new_scratch()
        image = self._image
        environment = {
            "LD_PRELOAD": str(image.shim),
            "HANDSHAKE_SEED": str(self._seed),
            "TMPDIR": memory_directory(),
            # Its own files go to HOME/.uml. The argument uml_dir would do, too, but 6.1 leaves it on the command
            # line (see there).
            "HOME": str(scratch),
        }
        with Supervisor(
            image.supervisor, scratch, self._command(), environment, wall_limit=self._wall_limit, pinned=True
        ) as running:
            # The order in which Python walks through sets of strings hangs on it.
            hashing = {"PYTHONHASHSEED": str(self._seed % 2**32)}
            results = hand_over(job, scratch, {**ENVIRONMENT, **hashing})
            _write_init(scratch, hashing)
            ending = running.run()
            yield self._judge(ending, scratch, results)

    def _command(self) -> list[str]:
        return [
            str(self._image.linux),
            f"mem={self._memory}M",
            "time-travel=inf-cpu",
            f"time-travel-start={CLOCK_START * 1_000_000_000}",
            "norandmaps",
            "seccomp=on",
            "root=none",  # a file system without a block device; Linux 6.1 would look for one
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            # The kernel stirs its command line into its entropy (drivers/char/random.c, random_init_early):
            # no path of this machine or this run may be in it, or the seed would not be all that counts.
            # hostfs looks paths up as the kernel's own process, whose working directory is the scratch.
            "init=/proc/self/cwd/init",
            "con=null",
            "con0=fd:0,fd:1",
            "quiet",
        ]

    def _judge(self, ending: Ending, scratch: Path, results: Path) -> JobResult:
        left = scratch / "status"
        if ending.word == "exit" and left.exists():
            return JobResult(status=int(left.read_text()), results=results, console=ending.console)
        if ending.word == "killed":
            return JobResult(status=INTERRUPTED, results=results, console=ending.console)
        if ending.word == "timeout":
            raise KernelFailed(
                f"the lab kernel was killed after {self._wall_limit:g} s of wall time: a program in it computes "
                "without ever waiting, or waits in a loop (computing takes no virtual time, and asking for the time "
                "hardly any), or waits for what never comes",
                ending.console,
            )
        if ending.word == "error":
            raise EnvironmentUnsupported(
                f"the lab kernel could not be started: {ending.detail}", "Run: handshake doctor"
            )
        told = f"{ending.word} {ending.detail}".strip() or "its supervisor was killed"
        raise KernelFailed(f"the lab kernel ended before its job did ({told})", ending.console)


@cache
def _compile_packages() -> None:
    """Have every module of ours compiled beforehand, once a process: the guest cannot write what it compiles.

    To compile takes more system calls than to load, and each moves the guest's clock by a hair: a record would depend
    on whether this is the first run of a fresh checkout.
    """
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)


def _write_init(scratch: Path, environment: Mapping[str, str]) -> None:
    """The guest's first program: this Python, on `handshake_lab.kernel.lab.lab_guest`."""
    settings = {**environment, "PYTHONPATH": str(PACKAGE_ROOT)}
    assignments = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    words = [sys.executable, "-P", "-m", "handshake_lab.kernel.lab.lab_guest", str(scratch)]
    init = scratch / "init"
    init.write_text(f"#!/bin/sh\n{' '.join(assignments)} exec {shlex.join(words)}\n")
    init.chmod(0o755)
