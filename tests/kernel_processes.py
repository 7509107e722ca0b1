"""The kernels that another process has started, and what is left of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from polling import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator


def kernels_of(session: int) -> Iterator[int]:
    """The lab kernels that a process's supervisors have started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    for pid in parents:
        above = pid
        while above in parents and above != session:
            above = parents[above]
        if above == session and _program(pid) == "linux":
            yield pid


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().name
    return ""


def runs(pid: int) -> bool:
    """Whether a kernel runs, by its process id."""
    return _program(pid) == "linux"


def processes_below(directory: Path) -> list[int]:
    """Processes whose working directory is or was below a directory: a kernel and its own processes."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(directory)):
                found.append(int(entry.name))
    return found


def vanishes(directory: Path) -> bool:
    """Whether all that is in a directory goes away."""
    return comes_true(lambda: not list(directory.iterdir()))
