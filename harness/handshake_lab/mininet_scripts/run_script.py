"""Outside the kernel: have it run a script, show what the script prints, and read the record."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from handshake_lab.experiment.execute import carried_out, prepare_directory
from handshake_lab.kernel.shared.guest_setup import PRIVATE
from handshake_lab.kernel.shared.job import Job
from handshake_lab.mininet_scripts.script_plan import SCRIPT
from handshake_lab.recording.observations import Program
from handshake_lab.recording.run_files import SCRIPT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.mininet_scripts.script_plan import ScriptPlan
    from handshake_lab.reconcile.stored_run import Run

#: Seconds of real time between two looks for more of the script's output.
_LOOK = 0.05


@contextlib.contextmanager
def script_run(plan: ScriptPlan, kernel: Kernel, out: Path | None, shown: BinaryIO) -> Iterator[Run]:
    """Run a script on a kernel. Its files are removed at the end of the block unless ``out`` keeps them.

    Args:
        plan: The script.
        kernel: Where it runs.
        out: The directory that keeps the run's files.
        shown: Where the script's output is written while it runs.

    Raises:
        HandshakeError: As raised inside the kernel; `KernelFailed` if the kernel did not finish the run.
    """
    with contextlib.ExitStack() as stack:
        results = prepare_directory(out or Path(stack.enter_context(tempfile.TemporaryDirectory())))
        directories = dict.fromkeys((Path(plan.directory), Path(plan.script).parent))
        job = Job(
            call="handshake_lab.mininet_scripts.recorded_script:enter",
            argument=msgspec.to_builtins(plan),
            results=results,
            preload=("handshake_lab.mininet_scripts.recorded_script",),
            readable=tuple(each for each in directories if str(each) not in PRIVATE),
        )
        (results / SCRIPT_OUTPUT).write_bytes(b"")
        with _shown_live(results / SCRIPT_OUTPUT, shown):
            run = stack.enter_context(carried_out(job, kernel, kept=out is not None))
        yield run


def exit_status(run: Run) -> int:
    """The exit status of a run's script, as a shell has it; 0 if it did not end."""
    for each in run.observations:
        if isinstance(each, Program) and each.name == SCRIPT and each.phase == "ends":
            return int(each.status)
    return 0


@contextlib.contextmanager
def _shown_live(file: Path, shown: BinaryIO) -> Iterator[None]:
    """Copy what is appended to a file while the block runs."""
    done = threading.Event()

    def follow() -> None:
        with file.open("rb") as source:
            last = False
            while not last:
                last = done.wait(_LOOK)
                while chunk := source.read(1 << 16):
                    shown.write(chunk)
                shown.flush()

    thread = threading.Thread(target=follow, name="script output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
