"""What is different between the processor architectures that virtual machines in virtual time can have."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor architecture.

    Attributes:
        name: As ``uname -m`` prints it: "x86_64".
        debian: As Debian's packages call it: "amd64".
        qemu: The program that emulates it.
        package: The package of that program in Debian and Ubuntu.
        machine: QEMU's machine type. Its memory has two parts that are not adjacent on x86-64, where the firmware puts
            its tables at the end of the first one.
        processor: The emulated processor: one without instructions for random numbers.
        mailbox: The physical address of the second part of the memory.
        words: Words of the kernel's command line, besides those of all architectures.
        flavours: The flavours of kernel packages for ordinary machines, in Debian and in Ubuntu: cloud kernels lack 9p,
            and real-time kernels are not supported.
    """

    name: str
    debian: str
    qemu: str
    package: str
    machine: str
    processor: str
    mailbox: int
    words: tuple[str, ...]
    flavours: tuple[str, ...]


X86_64 = Architecture(
    name="x86_64",
    debian="amd64",
    qemu="qemu-system-x86_64",
    package="qemu-system-x86",
    machine="q35,hpet=off,max-ram-below-4g=2G",
    processor="Nehalem",
    mailbox=4 << 30,
    words=("console=ttyS0", "mem=4G", "no_timer_check", "clocksource=tsc", "tsc=reliable"),
    flavours=("amd64", "generic"),
)
ARM64 = Architecture(
    name="aarch64",
    debian="arm64",
    qemu="qemu-system-aarch64",
    package="qemu-system-arm",
    machine="virt,gic-version=3",
    processor="cortex-a57",
    mailbox=3 << 30,
    words=("console=ttyAMA0", "mem=2G"),
    flavours=("arm64", "generic"),
)

#: By the names that ``uname -m`` prints.
ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in (X86_64, ARM64)}
#: By the names that ``--kernel vm:NAME`` accepts.
NAMED: Mapping[str, Architecture] = {"arm64": ARM64}


def of_this_machine() -> Architecture:
    """The architecture of this machine.

    Raises:
        EnvironmentUnsupported: Virtual machines do not support it.
    """
    name = platform.machine()
    if name not in ARCHITECTURES:
        raise EnvironmentUnsupported(
            f"--kernel vm supports {X86_64.name} and {ARM64.name}; this machine is {name}", "Use --kernel host."
        )
    return ARCHITECTURES[name]


def named(version: str) -> tuple[Architecture, str]:
    """The architecture and the rest of a version: "arm64", "arm64:6.12", or "6.12" for that of this machine.

    Raises:
        EnvironmentUnsupported: Virtual machines do not support this machine's architecture.
    """
    name, _, rest = version.partition(":")
    return (NAMED[name], rest) if name in NAMED else (of_this_machine(), version)
