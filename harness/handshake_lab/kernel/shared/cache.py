"""Where built kernels live: one cache directory, one lock, and no half-made things.

    $XDG_CACHE_HOME/handshake-lab/     (~/.cache/handshake-lab)
        kernels/7.3.4-<key>/           a finished kernel: linux, config, kernel.json
        helpers/<key>/                 the small C programs beside it: seed.so, ...
        packages/                      downloaded linux-source packages
        apt/                           a private view of the package mirror
        work/                          builds in progress; whoever holds the lock may empty it
        logs/                          what failed builds said
        lock

Whatever is made is made in ``work`` and moved into its place with one rename.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIB = 1024**3
MIB = 1024**2


def cache_root() -> Path:
    """The lab's cache directory, which need not exist yet.

    Source: XDG Base Directory Specification; a relative ``$XDG_CACHE_HOME`` is
    invalid there and ignored.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    return base / "handshake-lab"


def no_space(doing: str) -> EnvironmentUnsupported:
    """The error for a disk that became full."""
    return EnvironmentUnsupported(
        f"The disk that holds {cache_root()} became full while {doing}; nothing half-made was left there",
        "Free some space, or set XDG_CACHE_HOME to a directory on a larger disk.",
    )


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear message."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(doing) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise EnvironmentUnsupported(
                f"{error.filename or cache_root()} cannot be written while {doing} ({error.strerror})",
                "Set XDG_CACHE_HOME to a directory of yours.",
            ) from error
        raise


def demand_space(needed: int, purpose: str) -> None:
    """Refuse to begin what the cache's disk cannot hold.

    Args:
        needed: Bytes.
        purpose: What they are for, for the message.

    Raises:
        EnvironmentUnsupported: if fewer bytes are free.
    """
    root = cache_root()
    free = shutil.disk_usage(root).free
    if free < needed:
        raise EnvironmentUnsupported(
            f"{purpose} needs {needed / GIB:.1f} GiB, but the disk that holds {root} has {free / GIB:.1f} GiB free",
            "Free some space, or set XDG_CACHE_HOME to a directory on a larger disk.",
        )


@contextmanager
def exclusive(on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the cache's one lock; it falls with the process, however that ends.

    The cache directory is made if it is missing.

    Args:
        on_wait: Called once, if somebody else holds the lock.
    """
    root = cache_root()
    with disk_errors("taking the cache's lock"):
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def workshop() -> Iterator[Path]:
    """A directory to build in, on the cache's own disk, gone afterwards.

    To be entered with the lock held: only one builder works at a time, so
    whatever else lies in ``work`` belongs to builders that were killed.
    """
    work = cache_root() / "work"
    with disk_errors("making room for a build"):
        discard(work)
        work.mkdir()
        place = work / f"build-{os.getpid()}"
        place.mkdir()
    try:
        yield place
    finally:
        discard(work)


def discard(path: Path) -> None:
    """Remove a directory tree, if there is one."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return


def install(made: Path, place: Path) -> None:
    """Put a finished directory in its place; an older one there goes away.

    Args:
        made: The finished directory, in the workshop.
        place: Where it belongs, on the same disk.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        # In the workshop, where it is cleared away even if we are killed now.
        place.rename(made.with_name(made.name + ".replaced"))
    made.rename(place)
