"""The source of a lab kernel: what ``--source`` names, and unpacking it."""

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

# What is left packed: 1.8 GB become 0.5, in a third of the time. All Kconfig files
# and Makefiles stay, because the build reads them whatever is configured.
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
    # Left by a build in the tree.
    "*.o",
    "*.a",
    "*.cmd",
)


def given(text: str) -> Source:
    """What the user means with ``--source``.

    Raises:
        UsageError: if it is neither a tarball, a package nor a kernel's source tree.
    """
    path = Path(text).expanduser()
    example = "--source linux-7.3.tar.xz, or --source ~/src/linux"
    if not path.exists():
        raise UsageError("--source", text, "does not exist", example)
    path = path.resolve()
    if path.is_dir():
        if not is_kernel_tree(path):
            raise UsageError("--source", text, "is a directory, but not the top of a Linux source tree", example)
        return Source(SourceKind.TREE, path, str(path))
    if path.suffix == ".deb":
        return Source(SourceKind.PACKAGE, path, path.stem)
    if not _decompressor(path):
        raise UsageError("--source", text, f"is none of {', '.join(_DECOMPRESSORS)}, .deb or a directory", example)
    return Source(SourceKind.TARBALL, path, str(path))


def is_kernel_tree(path: Path) -> bool:
    """Whether this directory is the top of a Linux source tree that has User-Mode Linux."""
    return (path / "Makefile").is_file() and (path / "arch/um/Kconfig").is_file()


def unpack(source: Source, into: Path, progress: Progress) -> Path:
    """Unpack what building a lab kernel takes.

    Args:
        source: Where from.
        into: An empty directory.
        progress: Told the bytes read.

    Returns:
        The top of the tree, below ``into``.

    Raises:
        KernelSourceMissing: if it is damaged, or holds no Linux source.
        EnvironmentUnsupported: if the disk became full.
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
    """The name of the tarball inside a package, as the package spells it."""
    listing = subprocess.run(
        ["dpkg-deb", "--contents", str(source.path)],
        capture_output=True,
        text=True,
        check=False,
        env=plain_environment(),
    )
    if listing.returncode != 0:
        raise _damaged(source, listing.stderr)
    # A line is like that of "ls -l". In Ubuntu a symbolic link of the same name stands beside the file.
    for line in listing.stdout.splitlines():
        name = line.split()[-1]
        if line.startswith("-") and _decompressor(Path(name)):
            return name
    raise _damaged(source, "it contains no tarball")


def _damaged(source: Source, why: str) -> KernelSourceMissing:
    return KernelSourceMissing(
        f"{source.path} cannot be unpacked: {why.strip() or 'it ended too early'}",
        "Download it again, or give another: handshake kernel build --source linux-7.3.tar.xz",
    )


def _top_of(directory: Path, source: Source) -> Path:
    """The kernel tree in a directory: that itself, or the one directory in it."""
    for candidate in (directory, *directory.iterdir()):
        if is_kernel_tree(candidate):
            return candidate
    raise KernelSourceMissing(
        f"{source.origin} holds no Linux source tree with User-Mode Linux (no Makefile beside arch/um/Kconfig)",
        "Give a kernel's source, for example: --source linux-7.3.tar.xz",
    )
