"""The lab kernels that another process has started."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

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
