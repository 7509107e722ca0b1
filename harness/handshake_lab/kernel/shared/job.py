"""A job: one Python function that is called in a kernel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The directory to import `handshake_lab` from.
PACKAGE_ROOT = Path(__file__).resolve().parents[3]

#: The directories of this project that a kernel must see; in a checkout the topologies are a link to another directory.
PACKAGES = (PACKAGE_ROOT / "handshake_lab", (PACKAGE_ROOT / "handshake_lab" / "topologies").resolve())


#: The exit status of a job that was interrupted (Ctrl-C), as a shell reports SIGINT.
INTERRUPTED = 130


class Job(msgspec.Struct, frozen=True):
    """A function that is called in the kernel, as root.

    It is called with two arguments: ``argument``, and the path of a directory for its
    results. Its return value is the exit status (None: 0). Its output goes to the
    console, which is shown only if the job fails.
    """

    call: str  #: "package.module:function"
    argument: Any = None  #: a JSON value
    results: Path | None = None  #: an existing directory; None: a temporary one, removed with the `JobResult`
    readable: tuple[Path, ...] = ()  #: host directories it must see even if they are below /tmp or /run
    environment: dict[str, str] = {}
    import_from: tuple[Path, ...] = ()  #: directories to import modules from, after those of this project
    preload: tuple[str, ...] = ()  #: installed modules that a lab kernel imports once for many jobs
    #: Jobs of one stage take the same steps until they call `handshake_lab.kernel.lab.stage.reach_stage`; a lab kernel
    #: takes these steps only once. Empty: no steps in common with other jobs.
    stage: str = ""
    seed: int | None = None  #: set by a lab kernel: the seed of all random numbers
    scratch: Path | None = None  #: set by the kernel: the directory that the job was written to
    branches: bool = False  #: set by a lab kernel: whether the job may branch
    parks: bool = False  #: set by a lab kernel: whether the job ends at its stage, where it is forked


class BranchPoint(msgspec.Struct, frozen=True):
    """A point where a job branches, and its branches; written by the job to `BRANCH_POINT` in its scratch directory."""

    at: str
    of: tuple[str, ...]


#: The name of a `BranchPoint`'s file.
BRANCH_POINT = "branch_point.json"


class BranchTaken(msgspec.Struct, frozen=True):
    """A decision that was taken at a branch point: its name, and its index among the possible decisions."""

    at: str
    decision: str
    index: int


class JobResult(msgspec.Struct, frozen=True):
    """How a job or a branch of it ended: exit status, results, last lines of the console, decisions of the branch."""

    status: int
    results: Path
    console: str
    branch: tuple[BranchTaken, ...] = ()


def hand_over(job: Job, scratch: Path, environment: Mapping[str, str], *, seed: int | None = None) -> Path:
    """Write a job to a scratch directory, where `handshake_lab.kernel.shared.job_runner` reads it.

    Args:
        job: The job.
        scratch: The directory, which exists.
        environment: The environment of all programs in the kernel; variables of the job are added.
        seed: The seed of a lab kernel.

    Returns:
        The directory for its results, which exists.
    """
    results = (job.results or scratch / "results").resolve()
    results.mkdir(exist_ok=True)
    own = [PACKAGE_ROOT, *PACKAGES, *job.import_from, Path(sys.prefix), Path(sys.base_prefix)]
    complete = msgspec.structs.replace(
        job,
        seed=seed,
        stage="" if seed is None else job.stage,
        scratch=scratch,
        results=results,
        environment={**environment, **job.environment},
        readable=(*job.readable, *own),
    )
    (scratch / "job.json").write_bytes(msgspec.json.encode(complete, enc_hook=str))
    return results
