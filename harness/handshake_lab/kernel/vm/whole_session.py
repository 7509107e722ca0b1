"""Runs one command on a stock kernel's machine, and prints its output while it runs.

A whole test session runs in one machine this way. This is faster if QEMU emulates the processor: there is
only one boot, and the tests wait at the same time.
"""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.job import INTERRUPTED, Job
from handshake_lab.kernel.vm.vm_kernel import prepared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Seconds that a command may take.
WALL_LIMIT = 4 * 3600.0
#: MiB; the machine allocates them when they are used.
MEMORY = 3072
#: The output of the command, in its writable directory.
LOG = "session.log"
#: Seconds between two reads of the output.
_PACE = 0.2


def run(version: str, words: Sequence[str], directory: Path, writable: Path, output: BinaryIO) -> int:
    """Boot a stock kernel, run a command there, power off.

    Args:
        version: Which kernel, as in `handshake_lab.kernel.vm.stock_kernels.StockKernels.find`.
        words: The program and its arguments.
        directory: Its working directory. Like all of this machine's files, it is read-only there.
        writable: The only writable directory. The command's output is stored there, in `LOG`.
        output: Receives the output while the command runs.

    Returns:
        The command's exit status.

    Raises:
        KernelFailed: The machine ended before the command did.
        KeyboardInterrupt: It was interrupted; nothing is left running.
    """
    writable.mkdir(parents=True, exist_ok=True)
    log = writable / LOG
    log.unlink(missing_ok=True)
    kernel = prepared(version, wall_limit=WALL_LIMIT, memory=MEMORY)
    job = Job(
        call=f"{__name__}:inside",
        argument={"words": list(words), "directory": str(directory)},
        results=writable.resolve(),
        readable=(directory.resolve(), cache.cache_root()),
        # In the guest the home directory, and so the default cache, is empty; the helpers are in the host's cache.
        environment={"XDG_CACHE_HOME": str(cache.cache_root().parent)},
    )
    ended = threading.Event()
    printer = threading.Thread(target=_print, args=(log, output, ended), daemon=True, name="printer")
    printer.start()
    try:
        with kernel.run(job) as outcome:
            if outcome.status == INTERRUPTED:
                raise KeyboardInterrupt
            if not log.exists():
                raise KernelFailed("the command could not be started", outcome.console)
            return outcome.status
    finally:
        ended.set()
        printer.join()


def _print(log: Path, output: BinaryIO, ended: threading.Event) -> None:
    """Print what is appended to a file, until its writer has ended."""
    done = 0
    last = False
    while not last:
        last = ended.wait(_PACE)
        if log.exists():
            with log.open("rb") as file:
                file.seek(done)
                new = file.read()
            done += len(new)
            output.write(new)
            output.flush()


def inside(argument: Any, results: Path) -> int:
    """The job: run the command; its output goes to `LOG`."""
    with (results / LOG).open("wb") as log:
        return subprocess.run(
            argument["words"], cwd=argument["directory"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        ).returncode
