"""Checks for ``--kernel vm``: a distribution's stock kernel under QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from handshake_lab.doctor.check import Check, Findings, apt_install, as_root, program
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.vm.architecture import ARM64, of_this_machine
from handshake_lab.kernel.vm.qemu import noted_kvm
from handshake_lab.kernel.vm.stock_kernels import StockKernels

_TIMEOUT = 20.0  # seconds
_PURPOSE = "a stock kernel in a virtual machine, in virtual or real time"


def examine() -> Findings:
    """Check what a virtual machine needs."""
    try:
        own = of_this_machine()
    except EnvironmentUnsupported as error:
        return Findings("vm", _PURPOSE, (Check("processor", ok=False, detail=str(error), remedy=error.remedy),))
    checks = (
        _answers(own.qemu, "qemu", apt_install(own.package)),
        *([] if own == ARM64 else [_answers(ARM64.qemu, "arm64", apt_install(ARM64.package), needed=False)]),
        program("modprobe", "kmod"),
        program("gcc", "gcc"),
        _real_time() if own == ARM64 else _kvm(),
        _kernels(),
    )
    return Findings("vm", _PURPOSE, checks)


def _answers(name: str, called: str, remedy: str, *, needed: bool = True) -> Check:
    """Check that a program is installed, and runs."""
    if shutil.which(name) is None:
        return Check(called, ok=False, detail=f"{name} is not on PATH", remedy=remedy, needed=needed)
    try:
        done = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(called, ok=False, detail=f"{name} does not run: {error}", remedy=remedy, needed=needed)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return Check(called, ok=True, detail=lines[0] if lines else name, needed=needed)


def _real_time() -> Check:
    detail = "--real-time supports x86-64 only; stock kernels run in virtual time"
    return Check("real time", ok=False, detail=detail, remedy="use --kernel vm without --real-time", needed=False)


def _kvm() -> Check:
    """Check that /dev/kvm can be opened, and that a kernel started with it if one was tried.

    Real time uses it; in virtual time, QEMU always emulates the processor, which is about ten times slower.
    """
    device = Path("/dev/kvm")
    nested = "enable virtualization in the firmware, or nested virtualization if this is a virtual machine"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        detail = f"there is no {device}; emulation works, but is slower"
        return Check("kvm", ok=False, detail=detail, remedy=nested, needed=False)
    except OSError as error:
        remedy = as_root("usermod -aG kvm $USER") + ", then log in again"
        detail = f"{device}: {error.strerror}; emulation works, but is slower"
        return Check("kvm", ok=False, detail=detail, remedy=remedy, needed=False)
    works = noted_kvm()
    if works is False:
        detail = f"{device} can be opened, but no kernel started with it; emulation works, but is slower"
        return Check("kvm", ok=False, detail=detail, remedy=nested, needed=False)
    return Check(
        "kvm", ok=True, detail="works" if works else f"{device} can be opened; the first run tries it", needed=False
    )


def _kernels() -> Check:
    here = [kernel.release for kernel in StockKernels().kernels()]
    if here:
        return Check("stock kernels", ok=True, detail=", ".join(here))
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return Check("stock kernels", ok=True, detail="none yet: the first run downloads the distribution's (75 MB)")
    detail = "none with 9p, virtio and netem in /boot, and no apt-get to download one"
    return Check("stock kernels", ok=False, detail=detail, remedy="install a kernel package with all its modules")
