"""The stock kernel in virtual time: a distribution's own, in a machine that is restored for one job.

Its time is that of the instructions that it executes, and waiting takes no wall time. Random numbers depend on the
seed. Therefore the same seed on the same saved machine with the same files gives the same record, to the byte; but
computing takes virtual time there, unlike on the lab kernel.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.shared import helper_programs
from handshake_lab.kernel.shared.guest_setup import ENVIRONMENT, RESULTS, SCRATCH
from handshake_lab.kernel.shared.job import Job, JobResult, hand_over
from handshake_lab.kernel.shared.job_outcome import outcome
from handshake_lab.kernel.shared.progress import shown
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch
from handshake_lab.kernel.vm import provide_vm, stock_kernels
from handshake_lab.kernel.vm.architecture import named
from handshake_lab.kernel.vm.virtual import job_files, machine, mailbox, templates
from handshake_lab.kernel.vm.virtual.monitor import Monitor
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.kernel.vm.architecture import Architecture
    from handshake_lab.kernel.vm.stock_kernels import StockKernel

#: Seconds of wall time that an emulated processor may need in addition to a job's own limit.
EMULATION_LIMIT = 90.0

#: The templates of this process.
_templates: dict[tuple[StockKernel, Architecture], templates.Template] = {}


class VirtualVmKernel:
    """Restores a machine for one job at a time.

    Args:
        kernel: The stock kernel.
        architecture: Its architecture.
        seed: Determines all random numbers of a run.
        wall_limit: Seconds that a job may take.
    """

    def __init__(
        self, kernel: StockKernel, architecture: Architecture, *, seed: int = 1, wall_limit: float = 120.0
    ) -> None:
        self._kernel = kernel
        self._architecture = architecture
        self._seed = seed
        self._wall_limit = wall_limit + EMULATION_LIMIT

    @property
    def info(self) -> KernelInfo:
        """The description in a record. It has a seed: time is virtual."""
        return KernelInfo(kind="vm", release=self._kernel.release, hz=self._kernel.hz, seed=self._seed)

    @contextmanager
    def run(self, job: Job) -> Iterator[JobResult]:
        """Restore, do the job, power off. Results without a directory of the job are removed at the end of the block.

        Raises:
            KernelFailed: The kernel crashed, was killed, or ran into the wall-clock limit.
            EnvironmentUnsupported: It could not be started on this machine.
        """
        with self._template() as template:
            scratch = new_scratch()
            line = machine.command(
                self._architecture,
                kernel=self._kernel.vmlinuz,
                initramfs=None,
                memory=template.memory,
                shared=False,
                mailbox_file=scratch / "mailbox",
                scratch=scratch,
            )
            supervisor = helper_programs.supervisor()
            with Supervisor(supervisor, scratch, line, None, wall_limit=self._wall_limit, pinned=False) as running:
                results = self._hand_over(job, scratch)
                with Monitor(scratch) as monitor:
                    monitor.restore(f"cat {shlex.quote(str(template.state))}")
                    ending = running.run()
                if monitor.error:
                    raise KernelFailed(f"QEMU could not restore the virtual machine: {monitor.error}", ending.console)
                reply = mailbox.read_reply(scratch / "mailbox")
                if reply is not None:
                    (scratch / "status").write_text(str(reply.status))
                    _unpack(reply.results, results)
                yield outcome(ending, scratch, results, kernel="the virtual machine", limit=self._wall_limit)

    @contextmanager
    def _template(self) -> Iterator[templates.Template]:
        """A template that is not removed during the block: one for all runs of this process, so that they are alike."""
        of = (self._kernel, self._architecture)
        for _ in range(3):  # another process may remove it before it is used here
            if of not in _templates:
                with shown() as progress:
                    _templates[of] = templates.provide(self._kernel, self._architecture, progress)
            with _templates[of].used() as there:
                if there:
                    yield _templates[of]
                    return
            del _templates[of]
        raise KernelFailed("the template of a virtual machine was removed while it was started", "")

    def _hand_over(self, job: Job, scratch: Path) -> Path:
        """Write a job and its files to the mailbox; returns the directory for its results."""
        # For programs that the job starts: the iteration order of their sets depends on it.
        environment = {**ENVIRONMENT, "PYTHONHASHSEED": str(self._seed % 2**32)}
        whole = msgspec.structs.replace(job, stage="")  # its steps are taken in each machine
        results = hand_over(whole, scratch, environment, seed=self._seed)
        document = msgspec.json.decode((scratch / "job.json").read_bytes())
        # The paths of this machine are different in every run, and reading them would take another time.
        document.update(scratch=SCRATCH, results=RESULTS)
        delivery = mailbox.Delivery(msgspec.json.encode(document), job_files.packed(job, results))
        mailbox.write_delivery(scratch / "mailbox", delivery)
        return results


def _unpack(archive: bytes, results: Path) -> None:
    """Unpack the directories and files of the results. Not by extractall(): Python 3.11.2 has no filters for it."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as source:
            for member in source:
                place = results / member.name
                if not place.resolve().is_relative_to(results):
                    raise KernelFailed(f"a result of the run has an invalid name: {member.name!r}")
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif member.isfile() and (content := source.extractfile(member)):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content.read())
    except (OSError, tarfile.TarError) as error:
        raise KernelFailed(f"the results of the run could not be unpacked: {error}") from error


def prepared(version: str, seed: int, *, wall_limit: float) -> VirtualVmKernel:
    """The stock kernel that a version refers to; downloaded if this machine does not have it.

    Args:
        version: As in `handshake_lab.kernel.vm.stock_kernels.StockKernels.find`, after the name of an architecture
            and a colon if it is not that of this machine: "arm64", "arm64:6.12".
        seed: Determines all random numbers of a run.
        wall_limit: Seconds that a job may take.

    Raises:
        UsageError: ``version`` is invalid.
        EnvironmentUnsupported: This machine cannot run it.
    """
    architecture, version = named(version)
    provide_vm.check_version(version)
    machine.qemu(architecture)
    stock = stock_kernels.StockKernels(architecture=architecture)
    with shown() as progress:
        kernel = provide_vm.provide(version, progress, stock)
    return VirtualVmKernel(kernel, architecture, seed=seed, wall_limit=wall_limit)
