"""A lab kernel that was booted once, has imported what its jobs need, and forks for each of them.

docs/machine_fork.md explains how a kernel forks. Parked kernels are shared by all who need the same in this
process, and end with it.
"""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab import lab_boot
from handshake_lab.kernel.shared.supervisor import new_scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.kernel.shared.supervisor import Supervised

#: Seconds of real time within which a kernel boots and imports, on a machine that has hardly any time for it.
_BOOT_LIMIT = 300.0
#: How many parked kernels a process keeps: each holds some 100 MB.
_KEPT = 3


class LoadedFile(msgspec.Struct, frozen=True):
    """A file whose content is in a parked kernel's memory, as it was when it was read."""

    path: str
    size: int
    mtime_ns: int

    def unchanged(self) -> bool:
        """Whether the file still is what was read."""
        try:
            now = os.stat(self.path)  # noqa: PTH116  a thousand of them before each fork
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


class ParkedKernel:
    """Boots a lab kernel and parks it.

    Args:
        image: The built kernel, one that forks.
        memory: The guest's memory, in MiB.
        preload: The modules that it imports before it is parked.

    Raises:
        KernelFailed: It did not come as far as to be parked.
        KeyboardInterrupt: It was interrupted meanwhile.
    """

    def __init__(self, image: LabKernelImage, memory: int, preload: tuple[str, ...]) -> None:
        self._supervisor = lab_boot.supervised(image, memory, wall_limit=_BOOT_LIMIT, forks=True)
        self._supervisor.__enter__()
        try:
            self._loaded = self._boot(preload)
        except BaseException:
            self._supervisor.close()
            raise

    def _boot(self, preload: tuple[str, ...]) -> list[LoadedFile]:
        scratch = self._supervisor.scratch
        lab_boot.prepare(scratch, preload, parks=True)
        ending = self._supervisor.run()
        if ending.word == "killed":
            raise KeyboardInterrupt
        if ending.word != "parked":
            reported = f"{ending.word} {ending.detail}".strip()
            raise KernelFailed(f"the lab kernel ended before it could be parked ({reported})", ending.console)
        return msgspec.json.decode((scratch / "loaded.json").read_bytes(), type=list[LoadedFile])

    def current(self) -> bool:
        """Whether it is still there, and all that it has read is still what is on the disk."""
        return not self._supervisor.has_ended() and all(file.unchanged() for file in self._loaded)

    def fork(self, wall_limit: float, parent: Supervised | None = None, text: str = "") -> Supervised:
        """A fork of it, or of one of its forks that is parked, which begins with `Supervised.run`.

        Raises:
            OSError: Its supervisor was killed.
        """
        return self._supervisor.fork(new_scratch(), wall_limit=wall_limit, parent=parent, text=text)

    def close(self) -> None:
        """End it and all its forks."""
        self._supervisor.close()


_Key = tuple["LabKernelImage", int, tuple[str, ...]]


class _Pool:
    """The parked kernels of this process, by what they were booted for; the one used last comes last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kernels: dict[_Key, ParkedKernel] = {}

    def find(self, key: _Key) -> ParkedKernel:
        """A parked kernel that is current; booted if there is none."""
        with self._lock:
            kernel = self._kernels.pop(key, None)
            if kernel and not kernel.current():
                kernel.close()
                kernel = None
            self._kernels[key] = kernel or ParkedKernel(*key)
            while len(self._kernels) > _KEPT:
                self._kernels.pop(next(iter(self._kernels))).close()
            return self._kernels[key]

    def discard(self, kernel: ParkedKernel) -> None:
        """Forget a kernel that no longer forks."""
        with self._lock:
            for key, kept in list(self._kernels.items()):
                if kept is kernel:
                    del self._kernels[key]
                    kernel.close()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            while self._kernels:
                self._kernels.popitem()[1].close()


_pool = _Pool()
#: End all parked kernels of this process; those that are needed again are booted again.
close_all = _pool.close
atexit.register(close_all)


@contextmanager
def forked(
    image: LabKernelImage, memory: int, preload: tuple[str, ...], wall_limit: float
) -> Iterator[tuple[ParkedKernel, Supervised]]:
    """A parked kernel and a fork of it, ready to run; the kernel is booted if there is none yet.

    Raises:
        KernelFailed: A kernel could not be parked.
        EnvironmentUnsupported: The fork's scratch directory cannot be made.
    """
    key = (image, memory, preload)
    kernel = _pool.find(key)
    try:
        fork = kernel.fork(wall_limit)
    except OSError:  # somebody killed its supervisor
        _pool.discard(kernel)
        kernel = _pool.find(key)
        fork = kernel.fork(wall_limit)
    with fork:
        yield kernel, fork
