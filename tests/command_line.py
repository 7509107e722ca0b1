"""The command line in this process: its commands fork parked kernels, where each would boot a kernel of its own.

A record is the same either way (tests/kernel/test_forked_records.py), in a tenth of the time. A test that needs a
process of its own, for a signal or a terminal, starts `COMMAND`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from handshake_lab.cli.main import main
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.report.text.as_typed import CALLED_AS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Starts the command line in a process of its own.
COMMAND = [sys.executable, "-c", "from handshake_lab.cli.main import main; main()"]

#: What only a shell understands: pipes, lists, redirections, variables, patterns, assignments.
_NEEDS_A_SHELL = re.compile(r"[|&;<>$*?~(`\n]|^\w+=")


@contextlib.contextmanager
def parked_kernels() -> Iterator[None]:
    """Have kernels forked that this process would boot."""
    with mock.patch.dict(choose_kernel.__kwdefaults__, fresh_boot=False):
        yield


def handshake(
    *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb until it ends.

    Args:
        arguments: The verb, and what follows it.
        cwd: The directory in which it runs.
        environment: Variables that it has in addition.
    """
    before = Path.cwd()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", ["handshake", *arguments]))
        stack.enter_context(mock.patch.dict(os.environ))
        os.environ.pop(CALLED_AS, None)  # help texts would keep it
        os.environ.update(environment or {})
        stack.enter_context(parked_kernels())
        if cwd is not None:
            os.chdir(cwd)
            stack.callback(os.chdir, before)
        stack.enter_context(mock.patch.object(sys, "stdin", stack.enter_context(Path(os.devnull).open())))
        caught = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_sent_to(caught / "output", 1, "stdout"))
        stack.enter_context(_sent_to(caught / "errors", 2, "stderr"))
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            for stream in (sys.stdout, sys.stderr):
                if not stream.closed:  # as it is after a broken pipe
                    stream.flush()
        output, errors = ((caught / name).read_text() for name in ("output", "errors"))
    return subprocess.CompletedProcess(list(arguments), status, output, errors)


def write_program(directory: Path) -> Path:
    """Write the program ``handshake`` to a directory; its path."""
    program = directory / "handshake"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    return program


def shell(line: str, cwd: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does in which this project's environment is active, where each part of a pipe must succeed.

    A single command of this project is run in this process.
    """
    words = [] if _NEEDS_A_SHELL.search(line) else shlex.split(line)
    if words[:1] == ["handshake"]:
        return handshake(*words[1:], cwd=cwd, environment=environment)
    with tempfile.TemporaryDirectory() as programs:
        write_program(Path(programs))
        path = os.pathsep.join([programs, str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env={**os.environ, **(environment or {}), "PATH": path},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )


@contextlib.contextmanager
def _sent_to(path: Path, descriptor: int, name: str) -> Iterator[None]:
    """Send a stream of this process, and of the programs that it starts, to a file."""
    kept = os.dup(descriptor)
    with path.open("w", encoding="utf-8") as file, mock.patch.object(sys, name, file):
        os.dup2(file.fileno(), descriptor)
        try:
            yield
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)
