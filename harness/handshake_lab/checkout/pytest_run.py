"""Running pytest in a separate process: on this machine, or in a virtual machine that boots once for all tests."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handshake_lab.errors import PytestFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def one_boot(function: _Function) -> _Function:
    """The option ``--boot-once``: one virtual machine for all tests."""
    return click.option(
        "--boot-once",
        is_flag=True,
        help="With --kernel vm: boot one machine, and run all tests in it in real time, as with --kernel host. "
        "For example: "
        "--kernel vm --boot-once",
    )(function)


def run_pytest(
    words: Sequence[str], root: Path, kernel_name: str, *, quiet: bool = False, writable: Path | None = None
) -> int:
    """Run pytest and wait until it ends.

    Args:
        words: Its arguments, except the kernel.
        root: The checkout, in which it runs.
        kernel_name: The kernel for tests that use ``net``.
        quiet: Send pytest's output to standard error, because standard output is used for a document.
        writable: Boot the virtual machine that ``kernel_name`` names, once, and run pytest in it; it can write to this
            directory only. None: pytest runs on this machine.

    Returns:
        0 if all tests passed, and 1 if any failed.

    Raises:
        UsageError: ``--boot-once`` and the kernel is not a virtual machine; or pytest refused its arguments, or
            they select no test.
        PytestFailed: An internal error of pytest ended it.
        KeyboardInterrupt: The user interrupted it.
    """
    line = [sys.executable, "-m", "pytest"]
    if writable is None:
        line += ["--handshake-kernel", kernel_name, *words]
        done = subprocess.run(line, cwd=root, stdout=sys.stderr if quiet else None, check=False)
        return _checked(done.returncode, words)
    from handshake_lab.kernel.shared.kernel_name import KernelName

    kernel = KernelName.parse(kernel_name)
    if kernel.kind != "vm":
        raise UsageError("--boot-once", kernel_name, "is not a virtual machine", "--kernel vm --boot-once")
    from handshake_lab.kernel.vm import whole_session

    # The checkout is read-only in the machine: pytest and Hypothesis cannot keep their caches there.
    line = ["env", "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis", *line, "-p", "no:cacheprovider"]
    line += ["--handshake-kernel", "host"]
    output = (sys.stderr if quiet else sys.stdout).buffer
    return _checked(whole_session.run(kernel.version, [*line, *words], root, writable, output), words)


def _checked(status: int, words: Sequence[str]) -> int:
    """The exit status of pytest, if it has run all tests (pytest.ExitCode)."""
    if status in (0, 1):
        return status
    if status == 2:
        raise KeyboardInterrupt
    if status in (4, 5):
        reason = "was refused (see above)" if status == 4 else "selects no test"
        raise UsageError("pytest", shlex.join(words), reason, "handshake test -k time_wait")
    raise PytestFailed(shlex.join(["pytest", *words]), status)
