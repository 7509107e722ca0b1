"""The cache directory for built kernels and downloads: it has one lock, and never contains partial results.

    $XDG_CACHE_HOME/handshake-lab/     (~/.cache/handshake-lab)
        kernels/7.3.4-<key>/           a finished kernel: linux, config, kernel.json
        helpers/<key>/                 the small C programs beside it: seed.so, ...
        packages/                      downloaded linux-source packages
        apt/                           a private view of the package mirror
        work/                          builds in progress; the holder of the lock may empty it
        logs/                          logs of failed builds
        lock

Everything is created in ``work``, and moved to its place with one rename.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIB = 1024**3
MIB = 1024**2


def cache_root() -> Path:
    """The lab's cache directory, which may not exist yet.

    Source: XDG Base Directory Specification; a relative ``$XDG_CACHE_HOME`` is
    invalid there and ignored.

    Raises:
        EnvironmentUnsupported: The user has no home directory, and ``$XDG_CACHE_HOME`` is not set.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "handshake-lab"
    try:
        return Path.home() / ".cache/handshake-lab"
    except RuntimeError as error:
        raise EnvironmentUnsupported(
            "The user has no home directory to keep kernels in", "Set XDG_CACHE_HOME to a directory of yours."
        ) from error


def no_space(doing: str) -> EnvironmentUnsupported:
    """The error for a disk that is full."""
    return EnvironmentUnsupported(
        f"The disk of {cache_root()} ran out of space while {doing}; partial files were removed",
        "Free some space, or set XDG_CACHE_HOME to a directory on a larger disk.",
    )


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Convert errors of a full, read-only or forbidden disk to an error of this project."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(doing) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise EnvironmentUnsupported(
                f"{error.filename or cache_root()} cannot be written while {doing} ({error.strerror})",
                "Set XDG_CACHE_HOME to a directory that you can write to.",
            ) from error
        raise


def demand_space(needed: int, purpose: str) -> None:
    """Check that the cache's disk has enough free space.

    Args:
        needed: Bytes.
        purpose: The beginning of the error message: "Building the lab kernel".

    Raises:
        EnvironmentUnsupported: Fewer bytes are free.
    """
    root = cache_root()
    free = shutil.disk_usage(root).free
    if free < needed:
        raise EnvironmentUnsupported(
            f"{purpose} needs {needed / GIB:.1f} GiB, but the disk of {root} has {free / GIB:.1f} GiB free",
            "Free some space, or set XDG_CACHE_HOME to a directory on a larger disk.",
        )


@contextmanager
def exclusive(on_wait: Callable[[], None], root: Path | None = None) -> Iterator[None]:
    """Hold the lock of a cache; the kernel releases it if the process is killed.

    The cache directory is created if it is missing.

    Args:
        on_wait: Called once if another process holds the lock.
        root: The cache; None is the user's.
    """
    file = (root or cache_root()) / "lock"
    waited = False
    while True:
        with disk_errors("locking the cache"):
            handle = _opened(file)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    on_wait()
                waited = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if is_at(handle, file):
                yield
                return
        finally:
            os.close(handle)


def _opened(file: Path) -> int:
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # `remove_root` has just removed the directory
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def is_at(handle: int, file: Path) -> bool:
    """Whether a path still leads to an open file, which may have been removed during the wait for its lock."""
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False


def remove_root(root: Path) -> None:
    """Remove an emptied cache with its lock, which the caller holds; files of others stay."""
    (root / "lock").unlink()
    with suppress(OSError):
        root.rmdir()


@contextmanager
def workshop(root: Path | None = None) -> Iterator[Path]:
    """A temporary directory to build in, on the cache's own disk.

    The caller must hold the lock: only one build runs at a time, so everything
    else in ``work`` was left by builds that were killed.

    Args:
        root: The cache; None is the user's.
    """
    work = (root or cache_root()) / "work"
    with disk_errors("creating a directory for a build"):
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
    """Move a finished directory to its place; an older one there is removed.

    Args:
        made: The finished directory, in the workshop.
        place: Its destination, on the same disk.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        # To the workshop, which is removed later even if this process is killed now.
        place.rename(made.with_name(made.name + ".replaced"))
    made.rename(place)
