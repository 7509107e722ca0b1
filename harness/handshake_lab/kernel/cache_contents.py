"""The contents of a cache: sizes, purposes, and which of them can be removed without effect on runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.kernel.lab.build import configuration
from handshake_lab.kernel.shared import cache, helper_programs
from handshake_lab.kernel.vm.architecture import ARCHITECTURES
from handshake_lab.kernel.vm.virtual import package_root, templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The other directories of the cache, and their purposes.
_DIRECTORIES = {
    "packages": "downloaded kernel packages, for the next build",
    "apt": "a private view of the package mirror",
    "logs": "logs of failed builds",
    "work": "left by an interrupted build",
}


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A directory of the cache.

    Attributes:
        path: The directory.
        size: Bytes that its files take.
        purpose: What it is for.
        needed: Whether runs use it: otherwise ``handshake cache clean`` removes it.
    """

    path: Path
    size: int
    purpose: str
    needed: bool


def entries(root: Path) -> list[CacheEntry]:
    """All directories of a cache, sorted by path; none if there is no cache."""
    return sorted(_entries(root), key=lambda entry: entry.path)


def clean(root: Path, *, everything: bool) -> list[CacheEntry]:
    """Remove the directories that no run needs, or all, and then the cache itself; wait for a build in progress.

    Saved machines that a run uses stay.

    Returns:
        The removed directories.

    Raises:
        EnvironmentUnsupported: The cache cannot be written.
    """
    if not root.is_dir():
        return []
    with cache.disk_errors("cleaning the cache"), cache.exclusive(lambda: None, root):
        removed: list[CacheEntry] = []
        for entry in entries(root):
            if not (everything or not entry.needed):
                continue
            if entry.path.parent == root / "machines":
                with cache.workshop(root) as workshop:
                    if not templates.remove(templates.Template(entry.path), workshop):
                        continue
            else:
                cache.discard(entry.path)
            removed.append(entry)
        if everything:
            for directory in _within(root):
                if directory.name != "machines" or not _within(directory):
                    cache.discard(directory)
            cache.remove_root(root)
    return removed


def _entries(root: Path) -> Iterator[CacheEntry]:
    current = configuration.key()
    for kernel in _within(root / "kernels"):
        release, _, key = kernel.name.rpartition("-")
        needed = key == current
        purpose = f"lab kernel {release}" if needed else f"lab kernel {release}, of another version of handshake"
        yield CacheEntry(kernel, size_of(kernel), purpose, needed)
    for helpers in _within(root / "helpers"):
        needed = helpers.name == helper_programs.key()
        purpose = "programs beside the kernel" if needed else "programs of another version of handshake"
        yield CacheEntry(helpers, size_of(helpers), purpose, needed)
    for stock in (*_within(root / "stock"), *(each for place in root.glob("stock-*") for each in _within(place))):
        yield CacheEntry(stock, size_of(stock), f"stock kernel {stock.name}", needed=True)
    for programs in _within(root / "roots"):
        needed = programs.name in {package_root.place_of(each).name for each in ARCHITECTURES.values()}
        purpose = f"programs of {programs.name.partition('-')[0]} for stock kernels"
        purpose += "" if needed else ", of another version of handshake or of this machine's distribution"
        yield CacheEntry(programs, size_of(programs), purpose, needed)
    for machine in _within(root / "machines"):
        yield CacheEntry(machine, size_of(machine), f"stock kernel {machine.name}, booted", needed=True)
    for checkout in _within(root / "checkouts"):
        yield CacheEntry(checkout, size_of(checkout), "Python packages for a checkout that is read-only", needed=True)
    for name, purpose in _DIRECTORIES.items():
        if (root / name).is_dir():
            yield CacheEntry(root / name, size_of(root / name), purpose, needed=False)


def _within(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if entry.is_dir()] if directory.is_dir() else []


def size_of(directory: Path) -> int:
    """The bytes that the files below a directory take on the disk, except those that are removed during the count."""
    total = 0
    for path in directory.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        total += status.st_blocks * 512
    return total
