"""Running pytest in a process of its own: here, or in a virtual machine that is booted once for the whole session."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def one_boot(function: _Function) -> _Function:
    """``--boot-once``: one machine for all tests."""
    return click.option(
        "--boot-once",
        is_flag=True,
        help="With --kernel vm: boot one machine and run all tests there, as with --kernel host, not one for each.",
    )(function)


def run_pytest(
    words: Sequence[str], root: Path, kernel_name: str, *, quiet: bool = False, writable: Path | None = None
) -> int:
    """Run pytest and return its exit status.

    Args:
        words: Its arguments, besides the kernel.
        root: The checkout, in which it runs.
        kernel_name: Where tests that use ``net`` run.
        quiet: Standard output belongs to somebody else: what it prints goes to standard error.
        writable: Boot the virtual machine that ``kernel_name`` names, once, and run pytest itself there; all that
            it writes must go to this directory. None: it runs here.

    Raises:
        UsageError: The kernel is no virtual machine, and it is to be booted once.
    """
    line = [sys.executable, "-m", "pytest"]
    if writable is None:
        line += ["--handshake-kernel", kernel_name, *words]
        return subprocess.run(line, cwd=root, stdout=sys.stderr if quiet else None, check=False).returncode
    kind, _, version = kernel_name.partition(":")
    if kind != "vm":
        raise UsageError("--boot-once", kernel_name, "is no virtual machine", "--kernel vm --boot-once")
    from handshake_lab.kernel.vm import whole_session

    # The checkout cannot be written there: what pytest and Hypothesis keep for the next time goes away.
    line = ["env", "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis", *line, "-p", "no:cacheprovider"]
    line += ["--handshake-kernel", "host", *words]
    return whole_session.run(version, line, root, writable, (sys.stderr if quiet else sys.stdout).buffer)
