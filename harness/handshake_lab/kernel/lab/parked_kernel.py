"""A lab kernel that was booted once, has imported what its jobs need, and forks for each of them.

docs/machine_fork.md explains how a kernel forks. Parked kernels are shared by all who need the same in this
process, and end with it.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab import lab_boot
from handshake_lab.kernel.lab.stage import LOADED_FILES
from handshake_lab.kernel.shared.supervisor import new_scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.kernel.shared.supervisor import Ending, Supervised

#: Seconds of real time within which a kernel boots and imports, on a machine that has hardly any time for it.
_BOOT_LIMIT = 300.0
#: How many parked kernels a process keeps, and how many stages of each: each holds some 60 MB, a stage 10 MB.
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
        self._stages: dict[str, _Parked | None] = {}
        self._supervisor = lab_boot.supervised(image, memory, wall_limit=_BOOT_LIMIT, forks=True)
        self._supervisor.__enter__()
        try:
            lab_boot.prepare(self._supervisor.scratch, preload, parks=True)
            ending = self._supervisor.run()
            self._parked = _Parked.of(self._supervisor, ending)
            if self._parked is None:
                reported = f"{ending.word} {ending.detail}".strip()
                raise KernelFailed(f"the lab kernel ended before it could be parked ({reported})", ending.console)  # noqa: TRY301
        except BaseException:
            self._supervisor.close()
            raise

    def current(self) -> bool:
        """Whether it is still there, and all that it has read is still what is on the disk."""
        return self._parked is not None and self._parked.current()

    def fork(self, wall_limit: float, parent: Supervised | None = None, text: str = "") -> Supervised:
        """A fork of it, or of one of its forks that is parked, which begins with `Supervised.run`.

        Raises:
            KernelFailed: Its supervisor was killed.
        """
        try:
            return self._supervisor.fork(new_scratch(), wall_limit=wall_limit, parent=parent, text=text)
        except OSError as error:
            raise KernelFailed("the supervisor of a parked lab kernel was killed", str(error)) from None

    def stage(self, name: str, wall_limit: float, hand_over: Callable[[Path], object]) -> Supervised | None:
        """A fork that is parked at a stage, made if there is none that is current.

        Args:
            name: The stage.
            wall_limit: Seconds of real time within which the stage is reached.
            hand_over: Lays down the job that leads there in a scratch directory.

        Returns:
            None if that job ended before it reached the stage: then each does the common part itself.
        """
        parked = self._stages.pop(name, None)
        if name in self._stages or (parked and parked.current()):
            self._stages[name] = parked
            return parked.machine if parked else None
        if parked:
            parked.machine.close()
        machine = self.fork(wall_limit)
        machine.__enter__()
        try:
            hand_over(machine.scratch)
            made = _Parked.of(machine, machine.run())
        except BaseException:
            machine.close()
            raise
        if made is None:
            machine.close()
        self._stages[name] = made
        while len(self._stages) > _KEPT:
            if oldest := self._stages.pop(next(iter(self._stages))):
                oldest.machine.close()
        return made.machine if made else None

    def close(self) -> None:
        """End it and all its forks."""
        for parked in self._stages.values():
            if parked:
                parked.machine.close()
        self._stages.clear()
        self._supervisor.close()


@dataclass(frozen=True, slots=True)
class _Parked:
    """A machine that is parked, and what it has read."""

    machine: Supervised
    loaded: tuple[LoadedFile, ...]

    @classmethod
    def of(cls, machine: Supervised, ending: Ending) -> Self | None:
        """The machine, if it is parked now.

        Raises:
            KeyboardInterrupt: It was interrupted.
        """
        if ending.word == "killed":
            raise KeyboardInterrupt
        if ending.word != "parked":
            return None
        files = msgspec.json.decode((machine.scratch / LOADED_FILES).read_bytes(), type=list[LoadedFile])
        # What the host does not have was written inside.
        return cls(machine, tuple(file for file in files if os.path.exists(file.path)))  # noqa: PTH110

    def current(self) -> bool:
        """Whether it is still there, and all that it has read is still what is on the disk."""
        return not self.machine.has_ended() and all(file.unchanged() for file in self.loaded)


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

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            while self._kernels:
                self._kernels.popitem()[1].close()


_pool = _Pool()
#: End all parked kernels of this process; those that are needed again are booted again.
close_all = _pool.close
atexit.register(close_all)


def find(image: LabKernelImage, memory: int, preload: tuple[str, ...]) -> ParkedKernel:
    """A parked kernel that is current; booted if there is none in this process.

    Raises:
        KernelFailed: It could not be parked.
    """
    return _pool.find((image, memory, preload))
