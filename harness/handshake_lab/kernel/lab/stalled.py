"""What a lab kernel did when its wall-clock limit came: which program computed, or waited, and where.

The supervisor asks the kernel twice (SIGUSR2, arch/um/os-Linux/signal.c of the patches). Each time, the kernel writes a
line on its console; the second time, it also aborts the program that runs, which shows its stack if it is a Python.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(
    r"^time_travel: time=(\d+) syscalls=(\d+) clocks=(\d+) counters=(\d+) pid=(\d+) session=(\d+) stub=\d+ comm=(.*)$",
    re.MULTILINE,
)
#: What faulthandler writes when a Python is aborted.
_STACK = "Fatal Python error: Aborted"
_STACK_LINES = 12


def described(console: str, results: Path) -> str:
    """What the machine did, as the end of a sentence; "" if it did not say.

    Args:
        console: The end of its console.
        results: The directory of its results, with what programs wrote to standard error.
    """
    asked = list(_LINE.finditer(console))
    if len(asked) < 2:
        return ""
    before, after = asked[-2:]
    program = f"{after[7]} (process {after[5]})"
    passed = int(after[1]) - int(before[1])
    calls = sum(int(after[index]) - int(before[index]) for index in (2, 3, 4))
    if not calls and int(after[5]):  # time may have passed: a program that computes is interrupted by the host's
        doing = f"{program} computes: it makes no system call"
    elif calls and int(after[5]):
        doing = (
            f"{program} waits in a loop: in the last second, programs made {calls:,} system calls and clock readings, "
            f"and {passed / 1e9:.6f} s of virtual time passed"
        )
    else:
        doing = f"all programs wait: in the last second, {passed / 1e9:.6f} s of virtual time passed"
    return f"at {int(after[1]) / 1e9:.6f} s after the boot, {doing}{_stack(console, results)}"


def _stack(console: str, results: Path) -> str:
    """The stack of the Python that was aborted; the first in what was written to the console, or by a program."""
    errors = sorted(results.glob("*.err"))
    for name, text in (("the console", console), *((file.name, file.read_text("utf-8", "replace")) for file in errors)):
        _, found, rest = text.rpartition(_STACK)
        if found:
            lines = [line for line in rest.splitlines() if line.strip()][:_STACK_LINES]
            return "\n".join((f"\nIts stack, from {name}:", *lines))
    return ""
