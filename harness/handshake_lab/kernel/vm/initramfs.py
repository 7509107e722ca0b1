"""The initial file system of a stock kernel: one program, and the modules for access to the host's files."""

from __future__ import annotations

import io
import lzma
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared.processes import plain_environment

if TYPE_CHECKING:
    from typing import BinaryIO

    from handshake_lab.kernel.vm.stock_kernels import StockKernel

#: The modules for mounting the host's files; the kernel requests all others when it needs them.
_FILE_MODULES = ("virtio_pci", "9pnet_virtio", "9p")

_TRAILER = "TRAILER!!!"


class Cpio:
    """A cpio archive in the "newc" format, which the kernel unpacks.

    Source: Documentation/driver-api/early-userspace/buffer-format.rst.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._count = 0

    def add(self, name: str, mode: int, content: bytes = b"", device: int = 0, modified: int = 0) -> None:
        """Append a file; ``mode`` includes its type, ``modified`` is in seconds since the epoch."""
        self._count += 1
        path = os.fsencode(name) + b"\0"
        numbers = (
            *(self._count, mode, 0, 0, 1, modified, len(content), 0, 0),
            *(os.major(device), os.minor(device), len(path), 0),
        )
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
        for part in (head, content):
            self._out.write(part + b"\0" * (-len(part) % 4))

    def finish(self) -> None:
        """End the archive."""
        self.add(_TRAILER, 0)


def build(kernel: StockKernel, init: Path) -> bytes:
    """The initial file system for a kernel.

    Args:
        kernel: The kernel.
        init: The compiled ``init.c``.

    Raises:
        EnvironmentUnsupported: A module is missing, or cannot be unpacked.
    """
    out = io.BytesIO()
    archive = Cpio(out)
    for directory in ("dev", "root"):
        archive.add(directory, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=os.makedev(5, 1))
    archive.add("init", stat.S_IFREG | 0o755, init.read_bytes())
    names = []
    for module in modules_for(kernel):
        name = re.sub(r"\.ko\..*$", ".ko", module.name)
        archive.add(name, stat.S_IFREG | 0o644, plain(module))
        names.append(f"/{name}\n")
    archive.add("modules", stat.S_IFREG | 0o644, "".join(names).encode())
    archive.finish()
    return out.getvalue()


def modules_for(kernel: StockKernel) -> list[Path]:
    """The modules for the host's files, each after those it depends on."""
    found: dict[Path, None] = {}
    for name in _FILE_MODULES:
        done = subprocess.run(
            ["modprobe", "-d", str(kernel.base), "-S", kernel.release, "--show-depends", name],
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment(),
        )
        if done.returncode != 0:
            raise EnvironmentUnsupported(
                f"Linux {kernel.release} lacks the module {name}: {done.stderr.strip()}",
                "Name another release: --kernel vm:6.12",
            )
        # "insmod PATH OPTIONS", or "builtin NAME".
        for line in done.stdout.splitlines():
            if line.startswith("insmod "):
                found.setdefault(Path(line.split()[1]), None)
    return list(found)


def plain(module: Path) -> bytes:
    """The uncompressed content of a module."""
    if module.suffix == ".ko":
        return module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(module.read_bytes())
    if module.suffix == ".zst":
        try:
            return subprocess.run(["zstd", "-dcq", str(module)], capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise EnvironmentUnsupported(
                f"{module.name} cannot be uncompressed (zstd is not installed)",
                "Install it: sudo apt-get install --no-install-recommends zstd",
            ) from error
    raise EnvironmentUnsupported(
        f"{module.name} is compressed in an unknown way", "Name another release: --kernel vm:6.12"
    )
