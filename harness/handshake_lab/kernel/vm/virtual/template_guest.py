"""The first process in a virtual machine that becomes a template: prepares, reports that it is ready, does one job.

The machine is saved when it reports. Everything after that happens in machines that are restored, each with its own
mailbox. Process 1 only waits for the process of the job, so that it can leave the results even if that one is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import mmap
import os
import random
import signal
import subprocess
import tarfile
import traceback
from pathlib import Path
from typing import Any

from handshake_lab.kernel.shared import guest_setup, job_runner
from handshake_lab.kernel.shared.guest_setup import RESULTS, SCRATCH
from handshake_lab.kernel.shared.parking import prepare_for_copies
from handshake_lab.kernel.vm.virtual.mailbox import GuestMailbox, Reply
from handshake_lab.linux.randomness import seed_randomness

#: What the host wrote for this process.
BOOT = Path("/handshake.json")

_MS_BIND = 4096
#: The device with which a guest reports a panic (docs/specs/pvpanic.rst of QEMU). To QEMU, that of a template is one.
_VENDOR, _DEVICE, _PANICKED = "0x1b36", "0x0011", 1


def _report_ready() -> None:
    """Report that the machine can be saved. Returns in each machine that is restored."""
    for device in Path("/sys/bus/pci/devices").iterdir():
        if ((device / "vendor").read_text().strip(), (device / "device").read_text().strip()) == (_VENDOR, _DEVICE):
            (device / "enable").write_text("1")
            address = int((device / "resource").read_text().split()[0], 16)
            page, offset = address // mmap.PAGESIZE * mmap.PAGESIZE, address % mmap.PAGESIZE
            descriptor = os.open("/dev/mem", os.O_RDWR | os.O_SYNC | os.O_CLOEXEC)
            with mmap.mmap(descriptor, mmap.PAGESIZE, offset=page) as registers:
                registers[offset] = _PANICKED
            os.close(descriptor)
            return
    raise OSError("this machine has no pvpanic device")


def _prepare(modules: list[str]) -> None:
    """Import modules, and leave the machine in a state that is soon restored."""
    for module in modules:
        importlib.import_module(module)
    prepare_for_copies()


def _begin(seed: int) -> None:
    """Make all random numbers depend on a seed from now on."""
    seed_randomness(seed)
    random.seed()


def _unpack(archive: bytes) -> None:
    """Unpack the files of a job, by a program: Python would take many times as long."""
    if archive:
        subprocess.run(["tar", "-x", "-P", "-C", "/"], input=archive, check=True)


def _prepare_and_do(boot: dict[str, Any]) -> int:
    """Take the steps up to the job, and do it."""
    try:
        _prepare(boot["preload"])
        mailbox = GuestMailbox(boot["mailbox"])
        _report_ready()
        delivery = mailbox.delivery()
        job = json.loads(delivery.job)
        _begin(job["seed"])
        _unpack(delivery.archive)
        importlib.invalidate_caches()
    except BaseException:  # noqa: BLE001  the console shows why the machine ends
        traceback.print_exc()
        return job_runner.RAISED
    return job_runner.do(job)


def _packed(directory: str) -> bytes:
    """The files of a directory as a tar archive; each file as it is now, and what a link leads to in its place."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", dereference=True) as archive:
        for path in sorted(Path(directory).rglob("*")):
            if path.is_file() or path.is_dir():
                archive.add(path, str(path.relative_to(directory)), recursive=False)
    return out.getvalue()


def _mount_over_hidden(directories: list[str]) -> None:
    """Mount file systems; directories below those that get an empty one stay visible."""
    hidden = {directory: os.open(directory, os.O_PATH) for directory in directories}
    guest_setup.mount_file_systems()
    for directory, descriptor in hidden.items():
        Path(directory).mkdir(parents=True, exist_ok=True)
        guest_setup.mount(f"/proc/self/fd/{descriptor}", directory, "", flags=_MS_BIND)
        os.close(descriptor)


def main() -> None:
    """Mount file systems, do a job in a child, leave its results, power off."""
    boot = json.loads(BOOT.read_bytes())
    _mount_over_hidden(boot["hidden"])
    Path("/proc/sys/kernel/hostname").write_text("localhost")
    for directory in (SCRATCH, RESULTS):
        Path(directory).mkdir(parents=True)
    status = guest_setup.in_child(lambda: _prepare_and_do(boot))
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    GuestMailbox(boot["mailbox"]).reply(Reply(status, _packed(RESULTS)))
    guest_setup.power_off()


if __name__ == "__main__":
    main()
