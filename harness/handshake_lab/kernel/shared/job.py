"""What a kernel is given to do: one Python function, called in its world."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The directory to import `handshake_lab` from.
PACKAGE_ROOT = Path(__file__).resolve().parents[3]

#: All that a kernel must see of this project: in a checkout, the topologies are a link that leads elsewhere.
PACKAGES = (PACKAGE_ROOT / "handshake_lab", (PACKAGE_ROOT / "handshake_lab" / "topologies").resolve())


#: The exit status of a job that Ctrl-C ended: that of a shell for SIGINT.
INTERRUPTED = 130


class Job(msgspec.Struct, frozen=True):
    """A function to call where the kernel is, as root of its own world.

    It is called with two arguments: ``argument``, and the path of a directory for its
    results. Its return value is the exit status (None counts as 0). What it prints goes
    to the console, which is shown only where something failed.
    """

    call: str  #: "package.module:function"
    argument: Any = None  #: of JSON's types
    results: Path | None = None  #: a directory that exists; None: one that vanishes with the `JobResult`
    readable: tuple[Path, ...] = ()  #: host directories it must see even below /tmp or /run
    environment: dict[str, str] = {}
    import_from: tuple[Path, ...] = ()  #: directories to import modules from, after this project's own
    preload: tuple[str, ...] = ()  #: installed modules that a lab kernel imports beforehand, once for many jobs
    #: Jobs of one stage are the same until they call `handshake_lab.kernel.lab.stage.reach_stage`: a lab kernel does
    #: that part once for many of them. Empty: a job of its own.
    stage: str = ""
    seed: int | None = None  #: a lab kernel fills it in: what is random follows from it
    scratch: Path | None = None  #: filled in: where the job was laid down
    branches: bool = False  #: filled in: whether it may branch
    parks: bool = False  #: filled in: whether it ends at its stage, to be forked there


class BranchPoint(msgspec.Struct, frozen=True):
    """Where a job branches, and into what: written by the job to `BRANCH_POINT` in its scratch directory."""

    at: str
    of: tuple[str, ...]


#: The name of a `BranchPoint`'s file.
BRANCH_POINT = "branch_point.json"


class BranchTaken(msgspec.Struct, frozen=True):
    """The decision that was taken at a branch point: which, and its index among those there were."""

    at: str
    decision: str
    index: int


class JobResult(msgspec.Struct, frozen=True):
    """How a job ended: its exit status, its results, and the console's last lines; and which branch of it this is."""

    status: int
    results: Path
    console: str
    branch: tuple[BranchTaken, ...] = ()


def hand_over(job: Job, scratch: Path, environment: Mapping[str, str], *, seed: int | None = None) -> Path:
    """Lay a job down in a scratch directory, for `handshake_lab.kernel.lab.lab_guest` to find.

    Args:
        job: The job.
        scratch: The directory, which exists.
        environment: What every program finds where the kernel is; the job's own comes on top.
        seed: What the randomness of a lab kernel begins with.

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
