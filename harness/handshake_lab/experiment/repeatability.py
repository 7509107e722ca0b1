"""What programs' use of the machine costs in a run, and what of them makes it a run that does not repeat.

A run in a lab kernel is a function of its seed and its files (docs/explanation/determinism.md), with two exceptions
that no machine of this kind can prevent. A program that computes for seconds without a system call, as one does that
waits for a variable to change, is interrupted by this machine's time, or it would never end. And a program may draw
from the processor's own random numbers (RDRAND, RDSEED), which cannot be made to fault.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.linux import virtual_time
from handshake_lab.plan.cost import NO_COST
from handshake_lab.recording.observations import NotRepeatable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.plan.cost import Cost

#: Seconds of this machine's processor time for which a program may compute without a system call.
PATIENCE = 5.0

#: Files above this size are not searched: they contain libraries, which use these instructions unless the
#: environment prevents it (`handshake_lab.kernel.lab.lab_kernel` does), and three bytes that mean something else.
_SEARCHED = 4 << 20
_ELF_LOAD, _ELF_EXECUTABLE = 1, 1


def charge(cost: Cost, seed: int | None, *, optional: bool) -> None:
    """Have programs' use of the machine cost virtual time, from now on.

    Args:
        cost: What it costs.
        seed: The seed of the run; None in real time.
        optional: Whether a kernel that cannot do this is accepted.

    Raises:
        EnvironmentUnsupported: This kernel cannot, and it is required.
    """
    if seed is not None and virtual_time.can_cost():
        virtual_time.set_costs(cost.syscall, cost.clock, cost.tsc, int(PATIENCE * 1000))
    elif cost != NO_COST and not optional:
        raise EnvironmentUnsupported(
            "this kernel cannot let programs' use of the machine cost virtual time",
            "Leave --cost out, or use a lab kernel of Linux 7.3: --kernel lab:7.3",
        )


def not_repeatable(t: int, recording: LiveRecording) -> Iterator[NotRepeatable]:
    """What happened in a run on a lab kernel that another run of the same seed may not repeat.

    Args:
        t: The time of the observations.
        recording: The run.
    """
    if found := virtual_time.preempted():
        node, command = recording.programs.get(found.session, ("", found.name))
        yield NotRepeatable(t, node, "preempted", command)
    for node, command in dict.fromkeys(recording.programs.values()):
        if _draws(command.split()[0]):
            yield NotRepeatable(t, node, "random_instruction", command)


def _draws(program: str) -> bool:
    """Whether the code of an executable contains RDRAND or RDSEED with a register: 0f c7, f0 to ff."""
    path = shutil.which(program)
    try:
        if path is None or Path(path).stat().st_size > _SEARCHED:
            return False
        content = Path(path).read_bytes()
    except OSError:
        return False
    return any(code[at + 2 : at + 3] >= b"\xf0" for code in _code(content) for at in _places(code, b"\x0f\xc7"))


def _places(code: bytes, wanted: bytes) -> Iterator[int]:
    at = code.find(wanted)
    while at >= 0:
        yield at
        at = code.find(wanted, at + 1)


def _code(content: bytes) -> Iterator[bytes]:
    """The executable segments of a 64-bit ELF file (elf(5))."""
    if content[:5] != b"\x7fELF\x02":
        return
    try:
        (table,) = struct.unpack_from("<Q", content, 32)
        size, count = struct.unpack_from("<HH", content, 54)
        for index in range(count):
            kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", content, table + index * size)
            if kind == _ELF_LOAD and flags & _ELF_EXECUTABLE:
                yield content[offset : offset + length]
    except struct.error:
        return
