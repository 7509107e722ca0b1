"""The stock kernel: a distribution's own, booted in QEMU for one job, in real time.

Its root is the host's own file tree, read-only (9p); two more shared directories contain the
job and its results. An ordinary user can run it: nothing on the host is changed, and nothing
is left when the QEMU process ends.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.kernel.shared import helper_programs
from handshake_lab.kernel.shared.guest_setup import ENVIRONMENT
from handshake_lab.kernel.shared.job import PACKAGE_ROOT, Job, JobResult, hand_over
from handshake_lab.kernel.shared.job_outcome import outcome
from handshake_lab.kernel.shared.progress import shown
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch
from handshake_lab.kernel.vm import initramfs, provide_vm, qemu, stock_kernels
from handshake_lab.kernel.vm.architecture import NAMED
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.vm.stock_kernels import StockKernel

#: Seconds that a kernel's start and the first imports may take in addition to the job's own limit: with emulation they
#: take about 15 on an idle machine.
BOOT_LIMIT = 90.0
#: MiB that one test or one recorded run needs.
MEMORY = 1024


class VmKernel:
    """Boots a stock kernel for one job at a time.

    Args:
        kernel: What to boot.
        init: The compiled ``init.c``.
        supervisor: The compiled ``supervisor.c``.
        wall_limit: Seconds that a job may take.
        memory: The machine's memory, in MiB; allocated when it is used.
    """

    def __init__(
        self,
        kernel: StockKernel,
        *,
        init: Path,
        supervisor: Path,
        wall_limit: float = 120.0,
        memory: int = MEMORY,
    ) -> None:
        self._kernel = kernel
        self._init = init
        self._supervisor = supervisor
        self._wall_limit = wall_limit + BOOT_LIMIT
        self._memory = memory

    @property
    def info(self) -> KernelInfo:
        """The description in a record. There is no seed: randomness is real."""
        return KernelInfo(kind="vm", release=self._kernel.release, hz=self._kernel.hz, seed=None)

    @contextmanager
    def run(self, job: Job) -> Iterator[JobResult]:
        """Boot, do the job, power off. Results without a directory of the job are removed at the end of the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        first = initramfs.build(self._kernel, self._init)
        accelerator = qemu.accelerator(self._kernel, first, self._supervisor)
        scratch = new_scratch()
        results = (job.results or scratch / "results").resolve()
        line = qemu.command(
            self._kernel,
            scratch / "initramfs",
            accelerator,
            memory=self._memory,
            processors=qemu.processors(accelerator),
            shared={"root": (Path("/"), False), "scratch": (scratch, True), "results": (results, True)},
            words=(f"HANDSHAKE_INIT={scratch}/init",),
        )
        with Supervisor(self._supervisor, scratch, line, None, wall_limit=self._wall_limit, pinned=False) as running:
            hand_over(job, scratch, ENVIRONMENT)
            (scratch / "initramfs").write_bytes(first)
            _write_init(scratch, self._kernel)
            yield outcome(running.run(), scratch, results, kernel="the virtual machine", limit=self._wall_limit)


def _write_init(scratch: Path, kernel: StockKernel) -> None:
    """Write the guest's first programs: this Python on `handshake_lab.kernel.vm.vm_guest`, and a modprobe."""
    words = [sys.executable, "-P", "-m", "handshake_lab.kernel.vm.vm_guest", str(scratch)]
    environment = f"PYTHONPATH={shlex.quote(str(PACKAGE_ROOT))} PYTHONDONTWRITEBYTECODE=1"
    _script(scratch / "init", f"{environment} exec {shlex.join(words)}")
    _script(scratch / "modprobe", f'exec modprobe -d {shlex.quote(str(kernel.base))} "$@"')


def _script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def prepared(version: str, *, wall_limit: float, memory: int = MEMORY) -> VmKernel:
    """The stock kernel that a version refers to, ready to boot; downloaded if this machine does not have it.

    Args:
        version: As in `handshake_lab.kernel.vm.stock_kernels.StockKernels.find`.
        wall_limit: Seconds that a job may take.
        memory: As for `VmKernel`.

    Raises:
        UsageError: ``version`` is invalid, or of another architecture.
        EnvironmentUnsupported: This machine cannot run it.
    """
    if version.partition(":")[0] in NAMED:
        reason = "runs in virtual time only: real time supports x86-64 only"
        raise UsageError("--real-time", f"vm:{version}", reason, f"--kernel vm:{version}")
    provide_vm.check_version(version)
    qemu.demand_programs()
    stock = stock_kernels.StockKernels()
    with shown() as progress:
        kernel = provide_vm.provide(version, progress, stock)
    return VmKernel(
        kernel, init=stock.init(), supervisor=helper_programs.supervisor(), wall_limit=wall_limit, memory=memory
    )
