"""A lab kernel that is booted once, imports the modules that its jobs need, and is forked for each job.

docs/explanation/fork.md explains how a kernel forks. A process has one parked kernel for all jobs with the same image,
machine and modules; parked kernels end with the process.
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
    from handshake_lab.kernel.lab.lab_machine import LabMachine
    from handshake_lab.kernel.shared.supervisor import Ending, Supervised

#: Seconds of real time within which a kernel boots and imports its modules, even on a very busy machine.
_BOOT_LIMIT = 300.0
#: How many parked kernels a process keeps, and for each, how many stages: forks that are parked after steps which jobs
#: have in common. A kernel needs about 60 MB, a stage 10 MB.
_KEPT = 3


class LoadedFile(msgspec.Struct, frozen=True):
    """A file whose content is in a parked kernel's memory, with its size and time when it was read."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def now(cls, path: str) -> Self | None:
        """The file as it is; None if there is none."""
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        return cls(path, found.st_size, found.st_mtime_ns)

    def unchanged(self) -> bool:
        """Whether the file has not changed since it was read."""
        try:
            now = os.stat(self.path)  # noqa: PTH116  a thousand files before each fork
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


class ParkedKernel:
    """Boots a lab kernel and parks it.

    Args:
        image: A built kernel that supports forking.
        machine: The guest's memory and its clock.
        preload: The modules that it imports before it is parked.

    Raises:
        KernelFailed: It ended before it was parked.
        KeyboardInterrupt: The user interrupted it.
    """

    def __init__(self, image: LabKernelImage, machine: LabMachine, preload: tuple[str, ...]) -> None:
        self._stages: dict[str, _Parked | None] = {}
        self._supervisor = lab_boot.supervised(image, machine, wall_limit=_BOOT_LIMIT, forks=True)
        self._supervisor.__enter__()
        try:
            lab_boot.prepare(image, self._supervisor.scratch, preload, parks=True)
            ending = self._supervisor.run()
            self._parked = _Parked.of(self._supervisor, ending)
            if self._parked is None:
                reported = f"{ending.word} {ending.detail}".strip()
                raise KernelFailed(f"the lab kernel ended before it could be parked ({reported})", ending.console)  # noqa: TRY301
        except BaseException:
            self._supervisor.close()
            raise

    def current(self) -> bool:
        """Whether it has not ended, and no file that it has read has changed."""
        return self._parked is not None and self._parked.current()

    def fork(self, wall_limit: float, parent: Supervised | None = None, text: str = "") -> Supervised:
        """Fork this kernel or, if ``parent`` is given, that parked fork of it. `Supervised.run` starts the new fork.

        Raises:
            KernelFailed: Its supervisor was killed.
        """
        try:
            return self._supervisor.fork(new_scratch(), wall_limit=wall_limit, parent=parent, text=text)
        except OSError as error:
            raise KernelFailed("the supervisor of a parked lab kernel was killed", str(error)) from None

    def stage(self, name: str, wall_limit: float, hand_over: Callable[[Path], object]) -> Supervised | None:
        """A fork that is parked after a stage's common steps.

        It is created if there is none, or if files that it read have changed.

        Args:
            name: The stage.
            wall_limit: Seconds of real time within which the stage must be reached.
            hand_over: Writes a job to a scratch directory; this job performs the common steps and parks.

        Returns:
            None if that job ended before it parked: then each job performs the common steps itself.
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
    """A machine that is parked, and the files that it has read."""

    machine: Supervised
    loaded: tuple[LoadedFile, ...]

    @classmethod
    def of(cls, machine: Supervised, ending: Ending) -> Self | None:
        """The machine, or None if it is not parked.

        Raises:
            KeyboardInterrupt: The user interrupted it.
        """
        if ending.word == "killed":
            raise KeyboardInterrupt
        if ending.word != "parked":
            return None
        paths = msgspec.json.decode((machine.scratch / LOADED_FILES).read_bytes(), type=list[str])
        # Files that do not exist on the host are the guest's own.
        return cls(machine, tuple(filter(None, map(LoadedFile.now, paths))))

    def current(self) -> bool:
        """Whether it has not ended, and no file that it has read has changed."""
        return not self.machine.has_ended() and all(file.unchanged() for file in self.loaded)


_Key = tuple["LabKernelImage", "LabMachine", tuple[str, ...]]


class _Pool:
    """The parked kernels of this process, by image, machine and modules; the most recently used comes last."""

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
#: End all parked kernels of this process; a kernel that is needed again is booted again.
close_all = _pool.close
atexit.register(close_all)


def find(image: LabKernelImage, machine: LabMachine, preload: tuple[str, ...]) -> ParkedKernel:
    """A parked kernel that is current; booted if there is none in this process.

    Raises:
        KernelFailed: It could not be parked.
    """
    return _pool.find((image, machine, preload))
