"""QEMU's command line for a machine in virtual time.

It executes each instruction in one nanosecond (``-icount shift=0``), and when all processes wait, its clock is set to
the next timer (``sleep=off``). No device of it works beside the processor: what a machine does depends on its memory
and its state alone. Therefore the same seed on the same saved machine with the same files gives the same record, to
the byte. A machine that is saved again can give other times: how it boots is not repeatable to the nanosecond.

Source: docs/devel/tcg-icount.rst of QEMU.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.vm.virtual import mailbox, monitor

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.kernel.vm.architecture import Architecture

#: MiB of memory of a machine, without its mailbox. `Architecture.mailbox` is where it ends.
MEMORY = 2048
#: The clock when a machine boots: 2026-01-01 00:00:00 UTC, in seconds since the epoch.
CLOCK_START = 1_767_225_600

_ICOUNT = "shift=0,sleep=off,align=off"
#: QEMU has a thread for the processor and one for timers. When the processor has just halted, the other one may advance
#: the clock before the last instructions are counted (icount_start_warp_timer(), accel/tcg/icount-common.c), and then
#: by too much. When a run is recorded, only one of them works at a time; nobody reads the recording.
_IN_TURN = ",rr=record,rrfile=/dev/null"

#: The kernel's command line: no wait after a panic, no mitigations (there are no other users in it), no random
#: addresses, and no trust in random numbers from the machine; access to the memory of the mailbox and to the device
#: that reports.
_WORDS = (
    *("quiet", "panic=-1", "mitigations=off", "norandmaps", "nokaslr", "iomem=relaxed"),
    *("random.trust_cpu=off", "random.trust_bootloader=off"),
)


def qemu(architecture: Architecture) -> str:
    """The program.

    Raises:
        EnvironmentUnsupported: It is not installed.
    """
    found = shutil.which(architecture.qemu)
    if found is None:
        raise EnvironmentUnsupported(
            f"{architecture.qemu} is not installed",
            f"Install it: sudo apt-get install --no-install-recommends {architecture.package}",
        )
    return found


def command(
    architecture: Architecture,
    *,
    kernel: Path,
    initramfs: Path | None,
    memory: Path,
    shared: bool,
    mailbox_file: Path,
    scratch: Path,
) -> list[str]:
    """The command that starts a machine.

    Args:
        architecture: Its architecture.
        kernel: The kernel's file.
        initramfs: The archive of its files; None: the machine is restored, and has them in its memory.
        memory: The file of its memory.
        shared: Whether what it writes to its memory is written to that file. Otherwise it is lost.
        mailbox_file: The file of its mailbox.
        scratch: The directory for its monitor's pipes.
    """
    mailbox_size = mailbox.SIZE >> 20
    share = "on" if shared else "off"
    return [
        *(qemu(architecture), "-machine", architecture.machine, "-accel", "tcg", "-cpu", architecture.processor),
        *("-smp", "1", "-icount", _ICOUNT if initramfs else _ICOUNT + _IN_TURN, "-m", f"{MEMORY + mailbox_size}M"),
        *("-object", f"memory-backend-file,id=ram,size={MEMORY}M,mem-path={_escaped(memory)},share={share}"),
        *("-object", f"memory-backend-file,id=box,size={mailbox_size}M,mem-path={_escaped(mailbox_file)},share=on"),
        *("-numa", "node,nodeid=0,cpus=0,memdev=ram", "-numa", "node,nodeid=1,memdev=box"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "file:/dev/stdout"),
        *("-device", "pvpanic-pci", "-action", "panic=pause"),
        *("-rtc", f"base={_date(CLOCK_START)},clock=vm", "-seed", "1"),
        *("-kernel", str(kernel), *(("-initrd", str(initramfs)) if initramfs else ("-incoming", "defer"))),
        *("-append", " ".join((*architecture.words, *_WORDS)), *monitor.arguments(scratch)),
    ]


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
