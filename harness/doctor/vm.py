"""Checks for ``--kernel vm``: a distribution's stock kernel under QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.doctor.checks import Check, Findings, apt_install, as_root

_TIMEOUT = 20.0  # seconds


def examine() -> Findings:
    """Look for what a virtual machine takes."""
    checks = (
        _answers("qemu-system-x86_64", "qemu", apt_install("qemu-system-x86")),
        _answers("vng", "virtme-ng", "python3 -m pip install virtme-ng"),
        _kvm(),
        _kernels(),
    )
    return Findings("vm", "a stock kernel in a virtual machine, in real time", checks)


def _answers(program: str, name: str, remedy: str) -> Check:
    """Whether a program is here, and runs."""
    if shutil.which(program) is None:
        return Check(name, ok=False, detail=f"{program} is not on PATH", remedy=remedy)
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name, ok=False, detail=f"{program} does not run: {error}", remedy=remedy)
    said = (done.stdout or done.stderr).strip().splitlines()
    return Check(name, ok=True, detail=said[0] if said else program)


def _kvm() -> Check:
    """Whether /dev/kvm can be opened; without it QEMU emulates, which is some ten times slower."""
    device = Path("/dev/kvm")
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        remedy = "switch virtualization on in the firmware; inside a virtual machine, nested virtualization"
        return Check(
            "kvm", ok=False, detail=f"there is no {device}; emulation works, slower", remedy=remedy, needed=False
        )
    except OSError as error:
        remedy = as_root("usermod -aG kvm $USER") + ", then log in again"
        detail = f"{device}: {error.strerror}; emulation works, slower"
        return Check("kvm", ok=False, detail=detail, remedy=remedy, needed=False)
    return Check("kvm", ok=True, detail=f"{device} can be used", needed=False)


def _kernels() -> Check:
    images = sorted(Path("/boot").glob("vmlinuz-*"))
    readable = [image.name.removeprefix("vmlinuz-") for image in images if os.access(image, os.R_OK)]
    if readable:
        return Check("stock kernels", ok=True, detail=", ".join(readable))
    if images:
        detail = f"{images[-1]} is there, but only root may read it"
        return Check("stock kernels", ok=False, detail=detail, remedy=as_root(f"chmod a+r {images[-1]}"))
    os_release = Path("/etc/os-release")
    ubuntu = os_release.exists() and "ubuntu" in os_release.read_text(encoding="utf-8").lower()
    package = "linux-image-generic" if ubuntu else "linux-image-amd64"
    return Check("stock kernels", ok=False, detail="there is no /boot/vmlinuz-*", remedy=apt_install(package))
