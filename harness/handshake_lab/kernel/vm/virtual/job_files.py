"""The files of a job: those that it reads and that are not among the files of every machine."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.kernel.shared.job import PACKAGES
from handshake_lab.kernel.vm.virtual import guest_files
from handshake_lab.kernel.vm.virtual.machine import CLOCK_START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.shared.job import Job

#: Where only a distribution has files: programs of it are among those of every machine, or nowhere.
_SYSTEM = (
    *("/bin", "/sbin", "/lib", "/lib64", "/etc", "/boot", "/snap", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"),
    *("/usr/libexec", "/usr/include", "/usr/games", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib"),
)
#: Directories of a distribution below which projects can be, too.
_SHARED = ("/", "/usr", "/usr/local", "/usr/share")
#: Directories that tools keep for themselves.
_TOOLS = frozenset(
    {
        *(".git", ".hg", ".svn", "__pycache__", "node_modules", ".tox", ".nox", ".mypy_cache", ".pytest_cache"),
        *(".ruff_cache", ".hypothesis", ".idea", ".vscode", "handshake-artifacts"),
    }
)
#: Bytes: a larger file of a directory is left out.
_LARGEST = 8 << 20


def packed(job: Job, results: Path) -> bytes:
    """A tar archive of the files, with their paths; and of those that the directory of results has already."""
    from handshake_lab.kernel.shared.guest_setup import RESULTS  # noqa: PLC0415

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in files_of(job):
            _add(archive, path, str(path))
        for path in sorted(results.rglob("*")):
            _add(archive, path, f"{RESULTS}/{path.relative_to(results)}")
    return out.getvalue()


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file, unless this user cannot read it, or it was removed in the meantime."""
    try:
        member: tarfile.TarInfo | None = archive.gettarinfo(path, name)
        content = path.read_bytes() if member and member.isreg() else b""
    except OSError:
        return
    if member:  # not of a socket
        member.size = len(content)
        archive.addfile(_anonymous(member), io.BytesIO(content))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without what would make the same files another archive, and so another run: time, owner and umask."""
    member.mtime = CLOCK_START
    if not member.issym():
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def files_of(job: Job) -> list[Path]:
    """The directories and files of the directories that a job names, in a fixed order."""
    known = [*guest_files.python_directories(), *PACKAGES]
    programs = {Path(os.path.realpath(name)) for name in job.environment.get("PATH", "").split(":") if name}
    found: dict[Path, None] = {}
    wanted = {Path(os.path.realpath(path)) for path in (*job.readable, *job.import_from)}
    for directory in sorted(wanted - programs):
        of_system = any(directory.is_relative_to(system) for system in _SYSTEM)
        if not of_system and str(directory) not in _SHARED:
            found.update(dict.fromkeys(_below(directory, known)))
    return sorted(found)


def _below(directory: Path, known: list[Path]) -> Iterator[Path]:
    for parent, directories, names in os.walk(directory):
        here = Path(parent)
        if here in known or (here / "pyvenv.cfg").exists():
            directories.clear()
            continue
        yield here
        directories[:] = [name for name in directories if name not in _TOOLS]
        for name in names:
            path = here / name
            try:
                if path.is_symlink() or (path.is_file() and path.stat().st_size <= _LARGEST):
                    yield path
            except OSError:
                continue
        yield from (here / name for name in directories if (here / name).is_symlink())
