"""The stock kernels that this machine has, in /boot or in the cache.

~/.cache/handshake-lab/stock/
    6.1.0-56-amd64/                vmlinuz, config, kernel.json, lib/modules/6.1.0-56-amd64/
    init-<key>                     the compiled ``init.c``
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.packages.releases import stock_order
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.vm.architecture import of_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.vm.architecture import Architecture

#: Modules that a kernel must have: for the host's files, and for impairments.
NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "sch_netem")

_INIT = Path(__file__).with_name("init.c")
_FLAGS = ("-O2", "-Wall", "-Wextra", "-static", "-s")


@dataclass(frozen=True, slots=True)
class StockKernel:
    """A distribution's kernel.

    Attributes:
        release: The output of ``uname -r``: "6.1.0-56-amd64".
        vmlinuz: The kernel.
        base: The directory whose lib/modules has the modules of that release.
        hz: Its timer ticks per second (CONFIG_HZ).
        asked: The version for which it was downloaded: "stock", "newest" or "6.12"; "" for one of this machine's own.
    """

    release: str
    vmlinuz: Path
    base: Path
    hz: int
    asked: str = ""

    @property
    def modules(self) -> Path:
        """The directory of its modules."""
        return self.base / "lib/modules" / self.release

    def has(self, version: str) -> bool:
        """Whether "6.1", "6.1.0" or a whole release refers to this kernel."""
        return self.release == version or bool(re.match(re.escape(version) + r"(?![0-9])", self.release))


class StockKernels:
    """The stock kernels of this machine and of the user's cache directory.

    Args:
        installed: Where the machine's own kernels are.
        architecture: Another architecture, whose kernels can only be in the cache.
    """

    def __init__(self, installed: Path = Path("/"), architecture: Architecture | None = None) -> None:
        self._installed = installed
        self.architecture = architecture or of_this_machine()
        self._foreign = self.architecture != of_this_machine()
        self.root = cache.cache_root() / (f"stock-{self.architecture.name}" if self._foreign else "stock")

    def kernels(self) -> list[StockKernel]:
        """All kernels that can be booted on this machine, the newest first."""
        return sorted(
            [*self._of_machine(), *self._fetched()], key=lambda kernel: stock_order(kernel.release), reverse=True
        )

    def find(self, version: str) -> StockKernel | None:
        """The newest kernel on this machine that a version refers to.

        Args:
            version: "6.1", or a whole release; "newest": the kernel that was downloaded as such; "" and
                "stock": the machine's own kernel, or the one that was downloaded as "stock".
        """
        kernels = self.kernels()
        if version in {"", "stock"}:
            fitting = [kernel for kernel in kernels if kernel.asked in {"", "stock"}]
        elif version == "newest":
            fitting = [kernel for kernel in kernels if kernel.asked == "newest"]
        else:
            fitting = [kernel for kernel in kernels if kernel.has(version)]
        return fitting[0] if fitting else None

    def init(self) -> Path:
        """The compiled ``init.c``.

        Raises:
            EnvironmentUnsupported: There is no compiler, or no C library to link with.
        """
        key = hashlib.sha256("\0".join(_FLAGS).encode() + _INIT.read_bytes()).hexdigest()[:12]
        place = self.root / f"init-{key}"
        if not place.exists():
            with cache.disk_errors("compiling the virtual machine's first program"):
                self.root.mkdir(parents=True, exist_ok=True)
                part = place.with_name(f"{place.name}.{os.getpid()}")
                _compile(part)
                part.replace(place)
        return place

    def _of_machine(self) -> Iterator[StockKernel]:
        if self._foreign:
            return
        # Debian and Ubuntu have kernels in /boot, Fedora in the directory of their modules.
        for modules in (self._installed / "lib/modules").glob("*"):
            release = modules.name
            for vmlinuz, config in (
                (self._installed / f"boot/vmlinuz-{release}", self._installed / f"boot/config-{release}"),
                (modules / "vmlinuz", modules / "config"),
            ):
                if os.access(vmlinuz, os.R_OK) and os.access(config, os.R_OK) and _has_what_is_needed(modules):
                    yield StockKernel(release, vmlinuz, self._installed, hz_of(config))
                    break

    def _fetched(self) -> Iterator[StockKernel]:
        for description in self.root.glob("*/kernel.json"):
            directory = description.parent
            about = json.loads(description.read_bytes())
            release = about["release"]
            if _has_what_is_needed(directory / "lib/modules" / release):
                yield StockKernel(
                    release, directory / "vmlinuz", directory, hz_of(directory / "config"), about["asked"]
                )


def hz_of(config: Path) -> int:
    """CONFIG_HZ of a kernel's configuration."""
    found = re.search(r"^CONFIG_HZ=(\d+)$", config.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    if found is None:
        raise EnvironmentUnsupported(f"{config} does not contain CONFIG_HZ", "Name another kernel: --kernel vm:newest")
    return int(found[1])


def _has_what_is_needed(modules: Path) -> bool:
    """Whether a kernel has all modules of `NEEDED`, loadable or built in."""
    try:
        text = (modules / "modules.dep").read_text() + (modules / "modules.builtin").read_text()
    except OSError:
        return False
    return all(re.search(rf"/{name}\.ko", text) for name in NEEDED)


def _compile(place: Path) -> None:
    try:
        done = subprocess.run(
            ["gcc", *_FLAGS, "-o", str(place), str(_INIT)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise EnvironmentUnsupported(
            "The C compiler is missing (gcc)",
            "Install it: sudo apt-get install --no-install-recommends gcc libc6-dev",
        ) from error
    if done.returncode != 0:
        raise EnvironmentUnsupported(
            f"gcc could not compile {_INIT.name}:\n{done.stderr.strip()}\n",
            "If the C library to link with is missing: sudo apt-get install --no-install-recommends libc6-dev",
        )
