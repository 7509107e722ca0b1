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
    from handshake_lab.kernel.lab.lab_machine import LabMachine

#: Free bytes that the file system of the kernel's memory must have: a run uses about a third.
MEMORY_ROOM = 256 << 20

#: A lab kernel's seed at boot. The seed of a run takes effect only when its job begins: until then, kernels that
#: were booted or forked for different runs are identical.
BOOT_SEED = 0

#: The seed of Python's string hashes, which determines the iteration order of sets: the same in every run.
_HASH_SEED = "0"


class Boot(msgspec.Struct, frozen=True):
    """What the guest does before its job, for `handshake_lab.kernel.lab.lab_guest`."""

    preload: tuple[str, ...]  #: modules to import
    readable: tuple[Path, ...]  #: host directories that these imports need
    random_device: Path  #: the library that is preloaded into programs
    parks: bool  #: whether to park then; a fork gets the directory of its job from the supervisor


def memory_directory() -> str:
    """The directory for the kernel's memory file, which must permit execution and have enough free space.

    UML maps its processes' code from that file (arch/um/os-Linux/mem.c). /dev/shm is fastest; if it is
    small or mounted ``noexec``, as in many containers, TMPDIR, /tmp or /var/tmp is used.

    Raises:
        EnvironmentUnsupported: None of them is suitable.
    """
    candidates = ["/dev/shm", os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108
    for directory in filter(None, candidates):
        if not os.access(directory, os.W_OK):
            continue
        found = os.statvfs(directory)
        if not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= MEMORY_ROOM:
            return directory
    raise EnvironmentUnsupported(
        f"no directory for the lab kernel's memory permits execution and has {MEMORY_ROOM >> 20} MiB free "
        f"(tried {', '.join(filter(None, candidates))})",
        "Set TMPDIR to a directory on a file system mounted without noexec.",
    )


def supervised(image: LabKernelImage, machine: LabMachine, *, wall_limit: float, forks: bool) -> Supervisor:
    """A lab kernel that can boot as soon as `prepare` has written the files for its guest.

    Args:
        image: The built kernel.
        machine: Its memory and its clock.
        wall_limit: Seconds of real time after which it is killed.
        forks: Whether it will be parked and forked.
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
        _command(image, machine),
        environment,
        wall_limit=wall_limit,
        pinned=True,
        forks=forks,
    )


def prepare(image: LabKernelImage, scratch: Path, preload: tuple[str, ...], *, parks: bool) -> None:
    """Write the guest's first program, which starts this Python with `handshake_lab.kernel.lab.lab_guest`."""
    _compile_packages()
    own = (PACKAGE_ROOT, *PACKAGES, Path(sys.prefix), Path(sys.base_prefix))
    boot = Boot(preload=preload, readable=own, random_device=image.random_device, parks=parks)
    (scratch / "boot.json").write_bytes(msgspec.json.encode(boot, enc_hook=str))
    settings = {"PYTHONHASHSEED": _HASH_SEED, "PYTHONPATH": str(PACKAGE_ROOT)}
    assignments = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    words = [sys.executable, "-P", "-m", "handshake_lab.kernel.lab.lab_guest", str(scratch)]
    init = scratch / "init"
    init.write_text(f"#!/bin/sh\n{' '.join(assignments)} exec {shlex.join(words)}\n")
    init.chmod(0o755)


def _command(image: LabKernelImage, machine: LabMachine) -> list[str]:
    return [
        str(image.linux),
        # Of these, programs see the bytecode, and when a file was modified. This is not part of /proc/cmdline.
        *([f"hostfs_installed={':'.join(map(str, PACKAGES))}"] if image.forks else ()),
        f"mem={machine.memory}M",
        "time-travel=inf-cpu",
        f"time-travel-start={machine.clock_start * 1_000_000_000}",
        "norandmaps",
        "seccomp=on",
        "root=none",  # a file system without a block device; Linux 6.1 would look for one
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        # The kernel adds its command line to its entropy (drivers/char/random.c, random_init_early): it must not
        # contain paths of this machine or this run, or random numbers would not depend on the seed alone.
        # hostfs resolves paths relative to the kernel process's working directory, the scratch directory.
        "init=/proc/self/cwd/init",
        # Before 6.2, a kernel trusts the seed only with this parameter. Without it, getrandom() waits for interrupts,
        # of which none comes (drivers/char/random.c, try_to_generate_entropy). For others it would change random
        # numbers.
        *(["random.trust_cpu=on"] if _distrusts_the_seed(image.release) else ()),
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
    ]


def _distrusts_the_seed(release: str) -> bool:
    """Whether a release has CONFIG_RANDOM_TRUST_CPU, which 6.2 removed: all kernels trust it since."""
    major, minor = (int(number) for number in release.split(".")[:2])
    return (major, minor) < (6, 2)


@cache
def _compile_packages() -> None:
    """Compile this package's modules to bytecode, once per process: the guest cannot write bytecode files.

    Compiling a module takes more system calls than loading its bytecode, and each call advances the guest's clock:
    without this, the first run of a new checkout would have a different record.
    """
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)
