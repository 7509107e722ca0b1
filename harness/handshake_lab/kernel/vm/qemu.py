"""QEMU's command line, and whether KVM works on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.kernel.vm.stock_kernels import StockKernel

Accelerator = Literal["kvm", "tcg"]

_PROGRAM = "qemu-system-x86_64"
# An ordinary user's PATH lacks these on Debian.
_SYSTEM_PATH = "/usr/sbin:/sbin"

#: Seconds within which a kernel must start with KVM; it takes about one.
_PATIENCE = 10.0

#: The kernel's command line: its console, no wait after a panic, no mitigations (there are no other users in it).
_WORDS = ("console=ttyS0", "quiet", "panic=-1", "mitigations=off", "no_timer_check")

#: An emulated processor's TSC is the host's clock, and the guest measures its frequency: on a busy machine the result
#: was wrong by a factor of two. The HPET reports its frequency.
_EMULATED = ("clocksource=hpet", "tsc=unstable")


def command(
    kernel: StockKernel,
    initramfs: Path,
    accelerator: Accelerator,
    *,
    memory: int,
    processors: int,
    shared: Mapping[str, tuple[Path, bool]],
    words: tuple[str, ...] = (),
) -> list[str]:
    """The QEMU command that boots a kernel.

    Args:
        kernel: What to boot.
        initramfs: From `handshake_lab.kernel.vm.initramfs.build`.
        accelerator: From `accelerator`.
        memory: In MiB.
        processors: How many.
        shared: Directories of the host by their tags for 9p, and whether they may be written to.
        words: Additional words of the kernel's command line.

    Raises:
        EnvironmentUnsupported: There is no QEMU here.
    """
    line = [
        *(qemu(), "-machine", "q35", "-accel", accelerator, "-cpu", "max" if accelerator == "tcg" else "host"),
        *("-smp", str(processors), "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none"),
        *("-serial", "file:/dev/stdout", "-no-reboot", "-kernel", str(kernel.vmlinuz), "-initrd", str(initramfs)),
        *("-append", " ".join((*_WORDS, *(_EMULATED if accelerator == "tcg" else ()), *words))),
    ]
    for tag, (directory, writable) in shared.items():
        path = str(directory).replace(",", ",,")
        access = "" if writable else ",readonly=on"
        line += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{access}"]
    return line


def processors(accelerator: Accelerator) -> int:
    """The number of processors for a virtual machine: those of this machine, up to four; one if they are emulated.

    If two processors read the HPET at the same time, one of them reads it and the other uses its value (read_hpet(),
    arch/x86/kernel/hpet.c). If the host suspends the first one in between, the other's clock goes back by that time.
    """
    return min(4, os.cpu_count() or 1) if accelerator == "kvm" else 1


def qemu() -> str:
    """The program.

    Raises:
        EnvironmentUnsupported: It is not installed, or the machine's processor is not x86-64.
    """
    machine = platform.machine()
    if machine != "x86_64":
        raise EnvironmentUnsupported(
            f"--real-time supports x86-64 only; this machine is {machine}",
            "Use --kernel vm without it, or --kernel host.",
        )
    found = shutil.which(_PROGRAM)
    if found is None:
        raise EnvironmentUnsupported(
            f"{_PROGRAM} is not installed",
            "Install it: sudo apt-get install --no-install-recommends qemu-system-x86",
        )
    return found


def demand_programs() -> None:
    """Check that the programs for a virtual machine are installed.

    Raises:
        EnvironmentUnsupported: One is missing.
    """
    qemu()
    if shutil.which("modprobe", path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}") is None:
        raise EnvironmentUnsupported(
            "modprobe, which loads a kernel's modules, is not installed",
            "Install it: sudo apt-get install --no-install-recommends kmod",
        )


def accelerator(kernel: StockKernel, initramfs: bytes, supervisor: Path) -> Accelerator:
    """KVM if a kernel starts with it; otherwise emulation.

    A guest may fail to run although /dev/kvm can be opened. Therefore a kernel is started
    as a test, once after each boot of this machine.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    works = noted_kvm()
    if works is None:
        works = _starts(kernel, initramfs, supervisor)
        notes = _notes()
        part = notes.with_name(f"kvm.{os.getpid()}")
        with cache.disk_errors("storing whether KVM works"):
            part.write_text(json.dumps({"of": _present(), "works": works}))
            part.replace(notes)
    return "kvm" if works else "tcg"


def noted_kvm() -> bool | None:
    """Whether a kernel has started with KVM since this machine booted; None if this was not tried."""
    try:
        noted = json.loads(_notes().read_bytes())
        return bool(noted["works"]) if noted["of"] == _present() else None
    except (OSError, ValueError, KeyError):
        return None


def _notes() -> Path:
    return cache.cache_root() / "stock/kvm.json"


def _present() -> list[str | None]:
    """The boot of this machine (machines may share a cache) and the QEMU for which the result is valid."""
    return [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), shutil.which(_PROGRAM)]


def _starts(kernel: StockKernel, initramfs: bytes, supervisor: Path) -> bool:
    scratch = new_scratch()
    line = command(kernel, scratch / "initramfs", "kvm", memory=512, processors=1, shared={})
    with Supervisor(supervisor, scratch, line, None, wall_limit=_PATIENCE, pinned=False) as running:
        (scratch / "initramfs").write_bytes(initramfs)
        return "init: alive" in running.run().console
