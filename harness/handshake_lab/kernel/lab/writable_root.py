"""A root file system in which programs can write everywhere: the host's files, with changes kept in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.kernel.shared.guest_setup import mount

if TYPE_CHECKING:
    from collections.abc import Iterator

_MS_BIND, _MS_MOVE = 4096, 8192

#: The directory for the layers: a tmpfs of the guest.
_PLACE = Path("/run/handshake-root")


class _Mount(NamedTuple):
    point: str
    kind: str
    read_only: bool


class WritableRoot:
    """Changes the root of the calling process and its children; only in a lab kernel.

    Each read-only view of the host's files is the lower layer of an overlay file system. Other mounts stay as they are.

    Raises:
        OSError: The kernel has no overlay file system.
    """

    def __init__(self) -> None:
        self._layers: dict[str, Path] = {}
        mounts = sorted(set(_mounts()))
        root = _PLACE / "root"
        root.mkdir(parents=True)
        self._cover("/", root)
        for each in mounts:  # an outer one before those in it
            if each.point == "/":
                continue
            target = Path(f"{root}{each.point}")
            target.mkdir(parents=True, exist_ok=True)
            if each.kind == "hostfs" and each.read_only:
                self._cover(each.point, target)
            else:
                mount(each.point, str(target), "none", flags=_MS_BIND)
        here = Path.cwd()
        # Moved onto the root, not only chroot(): a process that enters this mount namespace begins at what is on top.
        os.chdir(root)
        mount(".", "/", "none", flags=_MS_MOVE)
        os.chroot(".")
        os.chdir(here)

    def _cover(self, point: str, target: Path) -> None:
        layer = _PLACE / str(len(self._layers))
        written, work = layer / "written", layer / "work"
        for directory in (written, work):
            directory.mkdir(parents=True)
        mount("overlay", str(target), "overlay", f"lowerdir={point},upperdir={written},workdir={work}")
        self._layers[point] = written

    def files_below(self, directory: str) -> Iterator[Path]:
        """The files that were written below a directory, relative to it, in the order of their names."""
        point = max((each for each in self._layers if Path(directory).is_relative_to(each)), key=len)
        place = self._layers[point] / Path(directory).relative_to(point)
        yield from sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())


_current: list[WritableRoot] = []


def enter() -> None:
    """Have this process and its children write to a root of their own from now on.

    In a kernel without overlay file systems the root stays as it is, read-only.
    """
    if "overlay" in Path("/proc/filesystems").read_text().split():
        _current.append(WritableRoot())


def current() -> WritableRoot | None:
    """The root that `enter` made; None if it made none."""
    return _current[-1] if _current else None


def _mounts() -> Iterator[_Mount]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        yield _Mount(point.encode().decode("unicode_escape"), kind, "ro" in options.split(","))
