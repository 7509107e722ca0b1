"""A lab kernel in one file, to copy to other machines: ``handshake kernel export`` and ``import``."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.build import configuration
from handshake_lab.kernel.lab.packaging.image_files import image_files
from handshake_lab.kernel.lab.packaging.released import demand, released
from handshake_lab.kernel.shared import cache, helper_programs, places
from handshake_lab.kernel.shared.processes import tidy_on_signals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

# Measured: 10 MB unpacked. A much larger archive is not a kernel.
_LARGEST = 64 * cache.MIB

_DESCRIPTION = re.compile(r"kernels/([\w.+~-]+)/kernel\.json")
_EXAMPLE = "handshake kernel export kernel.tar.xz, on the machine that has the kernel"


def export(image: LabKernelImage, file: Path) -> str:
    """Write a kernel and its helper programs to an archive, which has the same bytes for the same kernel.

    Returns:
        The archive's SHA-256, which `import_` requires.

    Raises:
        EnvironmentUnsupported: The kernel is not of this version, or the file cannot be written.
        UsageError: The file exists.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in image_files(image):
            entry = tarfile.TarInfo(each.name)
            entry.size = len(each.content)
            entry.mode = 0o755 if each.executable else 0o644
            archive.addfile(entry, io.BytesIO(each.content))
    content = lzma.compress(packed.getvalue())
    try:
        with file.open("xb") as written:
            written.write(content)
    except FileExistsError as error:
        raise UsageError("FILE", str(file), "exists", "handshake kernel export another.tar.xz") from error
    except OSError as error:
        raise EnvironmentUnsupported(f"{file} cannot be written ({error.strerror})", "Choose another file.") from error
    return hashlib.sha256(content).hexdigest()


def import_(file: Path, sha256: str | None, *, system: bool) -> Path:
    """Install the kernel of an archive, after checking that the archive is unchanged.

    Args:
        file: The archive.
        sha256: Its SHA-256, as printed by ``export``. None is accepted for a kernel that is listed in this release.
        system: Install it in the system's cache, for all users of this machine, instead of the user's cache.

    Returns:
        The kernel's directory.

    Raises:
        UsageError: The file is not such an archive, has another SHA-256, or cannot be checked.
        EnvironmentUnsupported: The kernel is for another version of this package, or the cache cannot be written.
    """
    try:
        packed = file.read_bytes()
    except OSError as error:
        raise UsageError("FILE", str(file), f"cannot be read ({error.strerror})", _EXAMPLE) from error
    actual = hashlib.sha256(packed).hexdigest()
    if sha256 is not None and actual != sha256.strip().lower():
        raise UsageError("--sha256", sha256, f"is not the SHA-256 of {file}, which is {actual}", _EXAMPLE)
    files = _unpacked(file, packed)
    name = _name_of(file, files)
    if sha256 is None:
        if (expected := released().get(name)) is None:
            raise UsageError(
                "FILE",
                str(file),
                "holds a kernel that this release does not know, and runs programs with your rights; compare its "
                "SHA-256 with the one that 'handshake kernel export' printed",
                f"handshake kernel import {file} --sha256 DIGEST",
            )
        demand(name, files[f"kernels/{name}/linux"][1], expected)
    if system and os.geteuid() != 0:
        raise EnvironmentUnsupported(
            f"Only root can write to {places.SYSTEM_CACHE}", f"sudo handshake kernel import {file} --system"
        )
    root = places.SYSTEM_CACHE if system else cache.cache_root()
    directories = _wanted(name)
    with tidy_on_signals(), cache.disk_errors("importing a kernel"), cache.exclusive(lambda: None, root):
        with cache.workshop(root) as workshop:
            for directory, names in directories.items():
                made = workshop / directory
                made.mkdir(parents=True)
                for each in names:
                    mode, content = files[f"{directory}/{each}"]
                    (made / each).write_bytes(content)
                    (made / each).chmod(mode)
                cache.install(made, root / directory)
        if system:
            for readable in (root, *(root / each for path in directories for each in (path, Path(path).parent))):
                readable.chmod(0o755)  # independent of root's umask
    return root / f"kernels/{name}"


def _wanted(name: str) -> dict[str, list[str]]:
    """The files of an archive that are installed, by directory; the others are documentation."""
    programs = [helper_programs.product(source.stem) for source in helper_programs.SOURCES]
    return {f"kernels/{name}": ["linux", "config", "kernel.json"], f"helpers/{helper_programs.key()}": programs}


def _unpacked(file: Path, packed: bytes) -> Mapping[str, tuple[int, bytes]]:
    """The files of an archive, read into memory: mode and content by name."""
    try:
        plain = lzma.LZMADecompressor().decompress(packed, _LARGEST)
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            entries = [(entry, archive.extractfile(entry)) for entry in archive if entry.isreg()]
            return {
                entry.name: (0o755 if entry.mode & 0o100 else 0o644, opened.read())
                for entry, opened in entries
                if opened is not None
            }
    except (lzma.LZMAError, EOFError, tarfile.TarError) as error:
        raise UsageError("FILE", str(file), f"is not an archive of a kernel ({error})", _EXAMPLE) from error


def _name_of(file: Path, files: Mapping[str, tuple[int, bytes]]) -> str:
    """The name of the kernel's directory, after checking that it is complete and for this version of the package."""
    kernels = {match[1]: json.loads(files[path][1]) for path in files if (match := _DESCRIPTION.fullmatch(path))}
    if len(kernels) != 1:
        raise UsageError("FILE", str(file), "is not an archive of one kernel", _EXAMPLE)
    ((name, about),) = kernels.items()
    wanted = {f"{directory}/{each}" for directory, names in _wanted(name).items() for each in names}
    if about.get("key") != configuration.key() or not wanted <= files.keys():
        raise EnvironmentUnsupported(
            f"The kernel {name} in {file} is for another version of handshake",
            "Export it again with the version that is installed here, or build one: handshake kernel build",
        )
    return name
