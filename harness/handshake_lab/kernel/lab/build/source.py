"""The source of a lab kernel: parsing the value of ``--source``, and unpacking."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import KernelSourceMissing, UsageError
from handshake_lab.kernel.packages.kernel_source import Source, SourceKind
from handshake_lab.kernel.shared.cache import no_space
from handshake_lab.kernel.shared.processes import Pipeline, is_full, plain_environment

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.progress import Progress

_DECOMPRESSORS = {
    ".tar": ("cat",),
    ".tar.xz": ("xz", "-dc", "-T0"),
    ".tar.gz": ("gzip", "-dc"),
    ".tgz": ("gzip", "-dc"),
    ".tar.bz2": ("bzip2", "-dc"),
    ".tar.zst": ("zstd", "-dc"),
}

# Not unpacked: this saves 1.3 of 1.8 GB, and two thirds of the time. All Kconfig files
# and Makefiles are unpacked, because every build reads them.
_UNUSED = (
    *("arch/alpha", "arch/arc", "arch/arm", "arch/arm64", "arch/csky", "arch/hexagon", "arch/ia64", "arch/loongarch"),
    *("arch/m68k", "arch/microblaze", "arch/mips", "arch/nios2", "arch/openrisc", "arch/parisc", "arch/powerpc"),
    *("arch/riscv", "arch/s390", "arch/sh", "arch/sparc", "arch/xtensa"),
    *("drivers/accel", "drivers/clk", "drivers/gpu", "drivers/iio", "drivers/infiniband", "drivers/media"),
    *("drivers/net/ethernet", "drivers/net/wireless", "drivers/pinctrl", "drivers/scsi", "drivers/staging"),
    *("drivers/usb", "sound"),
)
LEFT_OUT = (
    *(f"*/{directory}/*.[chS]" for directory in _UNUSED),
    "*.dts",
    "*.dtsi",
    "*/Documentation/*/*",
    "*/tools/perf/*",
    "*/tools/testing/*",
    "*/.git",
    # Files of an earlier build in the tree.
    "*.o",
    "*.a",
    "*.cmd",
)


def given(text: str) -> Source:
    """The source that the value of ``--source`` refers to.

    Raises:
        UsageError: It is neither a tarball, a package nor a kernel's source tree.
    """
    path = Path(text).expanduser()
    example = "--source linux-7.3.tar.xz, or --source ~/src/linux"
    if not path.exists():
        raise UsageError("--source", text, "does not exist", example)
    path = path.resolve()
    if path.is_dir():
        if not is_kernel_tree(path):
            raise UsageError(
                "--source", text, "is a directory, but not the top directory of a Linux source tree", example
            )
        return Source(SourceKind.TREE, path, str(path))
    if path.suffix == ".deb":
        return Source(SourceKind.PACKAGE, path, path.stem)
    if not _decompressor(path):
        raise UsageError("--source", text, f"is none of {', '.join(_DECOMPRESSORS)}, .deb or a directory", example)
    return Source(SourceKind.TARBALL, path, str(path))


def is_kernel_tree(path: Path) -> bool:
    """Whether this is the top directory of a Linux source tree with User-Mode Linux."""
    return (path / "Makefile").is_file() and (path / "arch/um/Kconfig").is_file()


def unpack(source: Source, into: Path, progress: Progress) -> Path:
    """Unpack the part of a source that a lab kernel needs.

    Args:
        source: The source.
        into: An empty directory.
        progress: Receives the number of bytes read.

    Returns:
        The top directory of the tree, below ``into``.

    Raises:
        KernelSourceMissing: It is damaged, or contains no Linux source.
        EnvironmentUnsupported: The disk is full.
    """
    if source.kind is SourceKind.TREE:
        progress.stage(f"Copying {source.path}")
        feeders, unpacker = [["tar", "-c", "-C", str(source.path), "."]], ["cat"]
    elif source.kind is SourceKind.TARBALL:
        progress.stage(f"Unpacking {source.path.name}", source.path.stat().st_size, "bytes")
        feeders, unpacker = [["cat", str(source.path)]], _decompressor(source.path)
    else:
        progress.stage(f"Unpacking {source.path.name}", source.path.stat().st_size, "bytes")
        member = _tarball_in(source)
        feeders = [["dpkg-deb", "--fsys-tarfile", str(source.path)], ["tar", "-xO", member]]
        unpacker = _decompressor(Path(member))
    left_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    writer = ["tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", str(into), *left_out]
    failure = Pipeline(feeders, [unpacker, writer]).run(progress.at)
    if failure is not None:
        if is_full(failure):
            raise no_space("unpacking the kernel's source")
        raise _damaged(source, failure)
    return _top_of(into, source)


def _decompressor(path: Path) -> list[str]:
    for ending, command in _DECOMPRESSORS.items():
        if path.name.endswith(ending):
            return list(command)
    return []


def _tarball_in(source: Source) -> str:
    """The path of the tarball in a package, exactly as stored there."""
    listing = subprocess.run(
        ["dpkg-deb", "--contents", str(source.path)],
        capture_output=True,
        text=True,
        check=False,
        env=plain_environment(),
    )
    if listing.returncode != 0:
        raise _damaged(source, listing.stderr)
    # Lines have the format of "ls -l". Ubuntu's packages also contain a symbolic link of the same name.
    for line in listing.stdout.splitlines():
        name = line.split()[-1]
        if line.startswith("-") and _decompressor(Path(name)):
            return name
    raise _damaged(source, "it contains no tarball")


def _damaged(source: Source, why: str) -> KernelSourceMissing:
    return KernelSourceMissing(
        f"{source.path} cannot be unpacked: {why.strip() or 'it is incomplete'}",
        "Download it again, or use another source: handshake kernel build --source linux-7.3.tar.xz",
    )


def _top_of(directory: Path, source: Source) -> Path:
    """The kernel tree in a directory: the directory itself, or the only directory in it."""
    for candidate in (directory, *directory.iterdir()):
        if is_kernel_tree(candidate):
            return candidate
    raise KernelSourceMissing(
        f"{source.origin} contains no Linux source tree with User-Mode Linux (Makefile and arch/um/Kconfig)",
        "Use the source of a kernel. For example: --source linux-7.3.tar.xz",
    )
