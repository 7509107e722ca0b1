"""Executing a plan on a kernel, and reading the record: the part that runs outside of the kernel."""

from __future__ import annotations

import itertools
import json
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import FaultNeverFired, KernelFailed, UsageError, from_document
from handshake_lab.experiment.topology_in_kernel import shown_topology
from handshake_lab.experiment.user_environment import user_directories, user_environment
from handshake_lab.kernel.shared.guest_setup import PRIVATE
from handshake_lab.kernel.shared.job import INTERRUPTED, Job
from handshake_lab.plan.fault_matching import matching, why_never
from handshake_lab.reconcile.stored_run import Run, read
from handshake_lab.recording.run_files import CAPTURE, ERROR, EVENTS, PAGE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from handshake_lab.kernel.lab.lab_kernel import LabKernel
    from handshake_lab.kernel.shared.job import BranchTaken, JobResult
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan


@dataclass(frozen=True, slots=True)
class BranchRun(Run):
    """The run of one branch of a script.

    Attributes:
        branch: The decisions that led to it.
        never_fired: What was wanted to happen to the network, and did not.
    """

    branch: tuple[BranchTaken, ...] = ()
    never_fired: FaultNeverFired | None = None


def prepare_directory(path: Path) -> Path:
    """Create a directory for the files of a run.

    Raises:
        UsageError: It cannot be created or written to, or holds a run already.
    """
    if any((path / name).exists() for name in (EVENTS, CAPTURE, PAGE)):
        raise UsageError(
            "--out",
            str(path),
            "holds a run already, which would be overwritten; choose another directory, or remove it: "
            f"rm -r {shlex.quote(str(path))}",
            f"--out {shlex.quote(_unused(path))}",
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / ERROR).unlink(missing_ok=True)
        probe = path / EVENTS
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError("--out", str(path), f"cannot be written to ({error.strerror})", "--out my-run") from None
    return path.resolve()


def _unused(path: Path) -> str:
    """A name for a directory like this one that does not exist yet."""
    return next(name for number in itertools.count(2) if not Path(name := f"{path}-{number}").exists())


@contextmanager
def _naming_what_is_kept(results: Path | None) -> Iterator[None]:
    """If the kernel fails, name the directory that keeps the recording up to then."""
    try:
        yield
    except KernelFailed as error:
        if not (results and (results / EVENTS).exists()):
            raise
        kept = f"The recording up to then was kept: handshake show {shlex.quote(str(results))}"
        raise KernelFailed(f"{error.what}\n{kept}", error.console) from None


@contextmanager
def conducted(
    plan: RunPlan, kernel: Kernel, out: Path | None = None, *, import_from: tuple[Path, ...] = ()
) -> Iterator[Run]:
    """Execute a plan on a kernel. Its files are removed at the end of the block, unless ``out`` is given.

    Args:
        plan: The plan. Its script is in a module of this project, or of a directory in ``import_from``.
        kernel: The kernel.
        out: The directory that keeps the files.
        import_from: Directories to import the script from.

    Raises:
        HandshakeError: As raised in the kernel; `KernelFailed` if the kernel did not finish the run. The error about a
            fault that never fired is raised at the end of the block.
    """
    plan = _with_last_known(plan, kernel, import_from)
    results = prepare_directory(out) if out else None
    with job_of(plan, results, import_from) as job, carried_out(job, kernel, kept=out is not None) as run:
        yield run


@contextmanager
def carried_out(job: Job, kernel: Kernel, *, kept: bool) -> Generator[BranchRun, None, None]:
    """Have a kernel do a job that records a run.

    Args:
        job: The job.
        kernel: The kernel.
        kept: Whether its directory of results is kept.

    Raises:
        HandshakeError: As raised in the kernel; `KernelFailed` if the kernel did not finish the run. The error about a
            fault that never fired is raised at the end of the block.
    """
    with _naming_what_is_kept(job.results if kept else None), kernel.run(job) as outcome:
        run = _completed(outcome)
        yield run
        if run.never_fired is not None:
            raise run.never_fired


def _with_last_known(plan: RunPlan, kernel: Kernel, import_from: tuple[Path, ...]) -> RunPlan:
    """A plan in which ``nth=last`` is a number: that of a run without these faults.

    Raises:
        FaultNeverFired: That run has no such segment.
    """
    if not any(fault.last for fault in plan.faults):
        return plan
    others = tuple(fault for fault in plan.faults if not fault.last)
    with conducted(msgspec.structs.replace(plan, faults=others), kernel, import_from=import_from) as run:
        found = {fault: matching(fault, run.record.segments) for fault in plan.faults if fault.last}
        never = {
            str(fault): why_never(fault, run.record.segments)
            for fault, segments in found.items()
            if not segments and not fault.optional
        }
    if never:
        raise FaultNeverFired.of(never)
    faults = (
        msgspec.structs.replace(fault, last=False, nth=(len(found[fault]) or 1,)) if fault.last else fault
        for fault in plan.faults
    )
    return msgspec.structs.replace(plan, faults=tuple(faults))


def explored(
    plan: RunPlan, kernel: LabKernel, *, import_from: tuple[Path, ...] = ()
) -> Generator[BranchRun, None, None]:
    """Execute a plan whose script branches, and yield the run of each branch.

    The files of a run are removed when the next one is requested.

    Raises:
        HandshakeError: As raised in a branch.
    """
    with job_of(plan, None, import_from) as job:
        for outcome in kernel.branches(job):
            run = _completed(outcome)
            if run.never_fired is not None:
                raise run.never_fired
            yield run


@contextmanager
def job_of(plan: RunPlan, results: Path | None = None, import_from: tuple[Path, ...] = ()) -> Iterator[Job]:
    """The job that executes a plan, within the block.

    Args:
        plan: The plan.
        results: The directory for the run's files; None: one that the kernel removes.
        import_from: Directories to import the script from.
    """
    with shown_topology(plan.topology) as (found, directories):
        own = (Path(plan.directory),) if plan.directory else ()
        shown = dict.fromkeys((*own, *directories, *user_directories()))
        yield Job(
            call="handshake_lab.experiment.recorded_run:enter",
            argument=msgspec.to_builtins(msgspec.structs.replace(plan, found_topology=found)),
            results=results,
            import_from=import_from,
            preload=("handshake_lab.experiment.recorded_run", "handshake_lab.topologies.pair"),
            # Directories such as /tmp are private to the run: this machine's files there are not visible.
            readable=tuple(path for path in shown if str(path) not in PRIVATE),
            environment=user_environment(),
        )


def _completed(outcome: JobResult) -> BranchRun:
    never_fired = None
    try:
        raise_stored_error(outcome.results)
    except FaultNeverFired as error:
        # The record is complete, and shows why.
        never_fired = error
    interrupted = outcome.status == INTERRUPTED
    if interrupted and not (outcome.results / EVENTS).exists():
        raise KeyboardInterrupt
    if outcome.status != 0 and not interrupted:
        raise KernelFailed("the run failed in the kernel; this is a defect of Handshake Lab", outcome.console)
    run = read(outcome.results)
    return BranchRun(run.observations, run.record, run.directory, interrupted, run.cut, outcome.branch, never_fired)


def raise_stored_error(results: Path) -> None:
    """Raise the error that a job has left among its results, if there is one, and remove its file.

    Raises:
        HandshakeError: The error.
    """
    file = results / ERROR
    if not file.exists():
        return
    document = json.loads(file.read_text())
    file.unlink()
    raise from_document(document)
