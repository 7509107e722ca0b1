"""The lab kernel: Linux built as User-Mode Linux, booted afresh for one job.

Time inside is virtual (``time-travel=inf-cpu``): computing takes none, waiting takes
no wall time. Randomness enters only through the C library's ``getrandom()``, which a
preloaded shim answers from the seed; with address randomization off, a run is a
function of its seed.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import EnvironmentUnsupported, KernelFailed
from harness.kernel.job import INTERRUPTED, Job, Outcome
from harness.timeline.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.kernel.store import LabKernelImage

#: Virtual wall clock at boot: 2026-01-01 00:00:00 UTC, in seconds since the epoch.
CLOCK_START = 1_767_225_600

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]

#: How many bytes of the console are kept, from its end.
_CONSOLE_KEPT = 64 * 1024

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108  a tmpfs of the guest's own
    "LANG": "C.UTF-8",
    "TERM": "linux",
    "PYTHONDONTWRITEBYTECODE": "1",  # the root is read-only
    "PYTHONUNBUFFERED": "1",
}


def memory_directory() -> str:
    """The directory for the kernel's memory file: it must allow execution.

    UML maps its processes' code from that file (arch/um/os-Linux/mem.c); /dev/shm is
    best, and where it is mounted ``noexec`` (many containers), TMPDIR, /tmp or /var/tmp do.

    Raises:
        EnvironmentUnsupported: None of them allows it.
    """
    candidates = ["/dev/shm", os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108
    for directory in candidates:
        if not directory or not os.access(directory, os.W_OK):
            continue
        if not os.statvfs(directory).f_flag & os.ST_NOEXEC:
            return directory
    raise EnvironmentUnsupported(
        f"no directory for the lab kernel's memory allows execution (tried {', '.join(filter(None, candidates))})",
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
    def run(self, job: Job) -> Iterator[Outcome]:
        """Boot, do the job, power off. What was not asked to be kept vanishes at the end of the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        scratch = Path(tempfile.gettempdir(), f"handshake-{os.urandom(6).hex()}")
        lifeline_read, lifeline = os.pipe()
        status_read, status_write = os.pipe()
        warden = subprocess.Popen(
            self._command(status_write, scratch),
            stdin=lifeline_read,
            stdout=subprocess.PIPE,
            pass_fds=(status_write,),
        )
        os.close(lifeline_read)
        os.close(status_write)
        try:
            with open(status_read, encoding="utf-8") as said:
                self._expect_ready(said.readline())
                complete = _complete(job, scratch)
                scratch.joinpath("job.json").write_bytes(msgspec.json.encode(complete, enc_hook=str))
                _write_init(scratch)
                os.write(lifeline, b"!")
                try:
                    console, ending = _follow(warden, said.fileno())
                except KeyboardInterrupt:
                    # What the job has written by now is worth having.
                    os.write(lifeline, b"!")
                    console, ending = _follow(warden, said.fileno())
            yield self._judge(ending, console, scratch, complete)
        finally:
            os.close(lifeline)
            warden.wait()
            if warden.stdout:
                warden.stdout.close()

    def _command(self, status: int, scratch: Path) -> list[str]:
        image = self._image
        return [
            str(image.warden),
            str(status),
            str(scratch),
            str(int(self._wall_limit)),
            f"LD_PRELOAD={image.shim}",
            f"HANDSHAKE_SEED={self._seed}",
            f"TMPDIR={memory_directory()}",
            "HOME=/nonexistent",
            "--",
            str(image.linux),
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
            f"uml_dir={scratch}/uml",  # taken off the command line by User-Mode Linux itself
            "con=null",
            "con0=fd:0,fd:1",
            "quiet",
        ]

    @staticmethod
    def _expect_ready(line: str) -> None:
        if line != "ready\n":
            raise EnvironmentUnsupported(
                f"the lab kernel's working directory could not be made: {line.strip().removeprefix('error ')}",
                "Set TMPDIR to a directory you can write to.",
            )

    def _judge(self, ending: str, console: str, scratch: Path, job: Job) -> Outcome:
        word, _, rest = ending.strip().partition(" ")
        left = scratch / "status"
        if word == "exit" and left.exists():
            return Outcome(status=int(left.read_text()), results=job.results or scratch, console=console)
        if word == "killed":
            return Outcome(status=INTERRUPTED, results=job.results or scratch, console=console)
        if word == "timeout":
            raise KernelFailed(
                f"the lab kernel was killed after {self._wall_limit:g} s of wall time: a program in it computes "
                "without ever waiting (computing takes no virtual time), or waits for what never comes",
                console,
            )
        if word == "error":
            raise EnvironmentUnsupported(f"the lab kernel could not be started: {rest}", "Run: handshake doctor")
        raise KernelFailed(f"the lab kernel ended before its job did ({ending.strip() or 'without a word'})", console)


def _complete(job: Job, scratch: Path) -> Job:
    """The job with a place for its results, the standard environment, and the paths its own program needs."""
    if job.results is None:
        (scratch / "results").mkdir()
    program = {_PACKAGE_ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    return msgspec.structs.replace(
        job,
        results=(job.results or scratch / "results").resolve(),
        environment={**_ENVIRONMENT, "PYTHONPATH": str(_PACKAGE_ROOT), **job.environment},
        readable=(*job.readable, *sorted(program)),
    )


def _write_init(scratch: Path) -> None:
    """The guest's first program: this Python, on `harness.kernel.guest`."""
    words = [sys.executable, "-P", "-m", "harness.kernel.guest", str(scratch)]
    init = scratch / "init"
    init.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(_PACKAGE_ROOT))} exec {shlex.join(words)}\n")
    init.chmod(0o755)


def _follow(warden: subprocess.Popen[bytes], status: int) -> tuple[str, str]:
    """Read the console until the warden tells the end; return (the console's last part, the end)."""
    if warden.stdout is None:
        raise AssertionError("the warden was started with a pipe")
    console, ending = b"", b""
    sources = select.poll()
    sources.register(warden.stdout, select.POLLIN)
    sources.register(status, select.POLLIN)
    while b"\n" not in ending:
        for descriptor, _ in sources.poll():
            chunk = os.read(descriptor, 65536)
            if descriptor == status:
                if not chunk:
                    return console.decode(errors="replace"), ""
                ending += chunk
            elif chunk:
                console = (console + chunk)[-_CONSOLE_KEPT:]
            else:
                sources.unregister(descriptor)
    # What the kernel wrote just before it ended may still be in the pipe.
    os.set_blocking(warden.stdout.fileno(), False)
    while chunk := warden.stdout.read(65536):
        console = (console + chunk)[-_CONSOLE_KEPT:]
    return console.decode(errors="replace").replace("\r\n", "\n"), ending.decode(errors="replace")
