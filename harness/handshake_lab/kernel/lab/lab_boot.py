"""Booting a lab kernel: its command line, its environment, and the first program inside."""

from __future__ import annotations

import compileall
import os
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared.job import PACKAGE_ROOT, PACKAGES
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

#: Virtual wall clock at boot: 2026-01-01 00:00:00 UTC, in seconds since the epoch.
CLOCK_START = 1_767_225_600

#: Free bytes that the file system of the kernel's memory must have: a run touches about a third.
MEMORY_ROOM = 256 << 20

#: What a lab kernel's randomness begins with at boot. A run has a seed of its own, which takes effect when its job
#: begins: kernels that were booted for different runs, or forked for them, are the same up to then.
BOOT_SEED = 0

#: How Python hashes strings, and so the order in which it walks through sets of them: the same in every run.
_HASH_SEED = "0"


class Boot(msgspec.Struct, frozen=True):
    """What the guest does before its job, for `handshake_lab.kernel.lab.lab_guest`."""

    preload: tuple[str, ...]  #: modules to import
    readable: tuple[Path, ...]  #: host directories that this takes
    parks: bool  #: then park, and find the job where the fork is told


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


def supervised(image: LabKernelImage, memory: int, *, wall_limit: float, forks: bool) -> Supervisor:
    """A lab kernel, ready to boot once `prepare` has written what its guest needs.

    Args:
        image: The built kernel.
        memory: The guest's memory, in MiB.
        wall_limit: Seconds of real time after which it is killed.
        forks: It is to be parked and forked.
    """
    scratch = new_scratch()
    environment = {
        "LD_PRELOAD": str(image.shim),
        "HANDSHAKE_SEED": str(BOOT_SEED),
        "TMPDIR": memory_directory(),
        # Its own files go to HOME/.uml. The argument uml_dir would do, too, but 6.1 leaves it on the command
        # line (see there).
        "HOME": str(scratch),
    }
    return Supervisor(
        image.supervisor,
        scratch,
        _command(image, memory),
        environment,
        wall_limit=wall_limit,
        pinned=True,
        forks=forks,
    )


def prepare(scratch: Path, preload: tuple[str, ...], *, parks: bool) -> None:
    """Write what the guest begins with: its first program, this Python on `handshake_lab.kernel.lab.lab_guest`."""
    _compile_packages()
    own = (PACKAGE_ROOT, *PACKAGES, Path(sys.prefix), Path(sys.base_prefix))
    boot = Boot(preload=preload, readable=own, parks=parks)
    (scratch / "boot.json").write_bytes(msgspec.json.encode(boot, enc_hook=str))
    settings = {"PYTHONHASHSEED": _HASH_SEED, "PYTHONPATH": str(PACKAGE_ROOT)}
    assignments = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    words = [sys.executable, "-P", "-m", "handshake_lab.kernel.lab.lab_guest", str(scratch)]
    init = scratch / "init"
    init.write_text(f"#!/bin/sh\n{' '.join(assignments)} exec {shlex.join(words)}\n")
    init.chmod(0o755)


def _command(image: LabKernelImage, memory: int) -> list[str]:
    return [
        str(image.linux),
        f"mem={memory}M",
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


@cache
def _compile_packages() -> None:
    """Have every module of ours compiled beforehand, once a process: the guest cannot write what it compiles.

    To compile takes more system calls than to load, and each moves the guest's clock by a hair: a record would depend
    on whether this is the first run of a fresh checkout.
    """
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)
