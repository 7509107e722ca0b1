"""Running a script on a kernel: the part on the host, which shows the script's output and reads the record."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import msgspec

from handshake_lab.experiment.execute import carried_out, prepare_directory
from handshake_lab.kernel.shared.guest_setup import PRIVATE
from handshake_lab.kernel.shared.job import Job
from handshake_lab.mininet_scripts.script_lines import answer_if_asked
from handshake_lab.mininet_scripts.script_plan import SCRIPT
from handshake_lab.mininet_scripts.slow_progress import SlowProgress
from handshake_lab.recording.observations import Program
from handshake_lab.recording.run_files import SCRIPT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.mininet_scripts.script_plan import ScriptPlan
    from handshake_lab.reconcile.stored_run import Run

#: Seconds of real time between two checks for output of the script, or for a line that it requests.
_INTERVAL = 0.02
#: The maximum wait in seconds until the last output is shown.
_LAST_OUTPUT = 2.0


@contextlib.contextmanager
def script_run(plan: ScriptPlan, kernel: Kernel, out: Path | None, shown: BinaryIO) -> Iterator[Run]:
    """Run a script on a kernel. Its files are removed at the end of the block unless ``out`` keeps them.

    Args:
        plan: The script.
        kernel: The kernel that it runs on.
        out: The directory that keeps the run's files.
        shown: Receives the script's output while it runs.

    Raises:
        HandshakeError: As raised inside the kernel; `KernelFailed` if the kernel did not finish the run.
    """
    with contextlib.ExitStack() as stack:
        results = prepare_directory(out or Path(stack.enter_context(tempfile.TemporaryDirectory())))
        directories = dict.fromkeys((Path(plan.directory), Path(plan.script).parent))
        if plan.kernel.kind == "lab" and str(Path(plan.script).parent) in PRIVATE:
            # Such a directory is private to the run, and contains only the script.
            plan = msgspec.structs.replace(plan, source=Path(plan.script).read_text("utf-8"))
        job = Job(
            call="handshake_lab.mininet_scripts.recorded_script:enter",
            argument=msgspec.to_builtins(plan),
            results=results,
            preload=("handshake_lab.mininet_scripts.recorded_script",),
            readable=tuple(each for each in directories if str(each) not in PRIVATE),
        )
        (results / SCRIPT_OUTPUT).write_bytes(b"")
        progress = SlowProgress(results) if plan.kernel.kind == "lab" else None
        with _accompanied(results, shown, sys.stdin, progress):
            run = stack.enter_context(carried_out(job, kernel, kept=out is not None))
        yield run


def exit_status(run: Run) -> int:
    """The exit status of a run's script, as in a shell; 0 if it did not end."""
    for each in run.observations:
        if isinstance(each, Program) and each.name == SCRIPT and each.phase == "ends":
            return int(each.status)
    return 0


@contextlib.contextmanager
def _accompanied(results: Path, shown: BinaryIO, lines: TextIO, progress: SlowProgress | None) -> Iterator[None]:
    """While the block runs, show the script's output, and provide the lines of input that it requests."""
    done = threading.Event()

    def follow() -> None:
        asked = 1
        with (results / SCRIPT_OUTPUT).open("rb") as source:
            last = False
            while not last:
                last = done.wait(_INTERVAL)
                while chunk := source.read(1 << 16):
                    shown.write(chunk)
                shown.flush()
                if not last and answer_if_asked(results, asked, lines.readline):
                    asked += 1
                    if progress:
                        progress.begin()
                if progress and (warning := progress.warning()):
                    print(f"handshake: {warning}", file=sys.stderr, flush=True)  # noqa: T201

    thread = threading.Thread(target=follow, name="script output and input", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_LAST_OUTPUT)  # it may be waiting for a line that the user does not enter
