"""A program in a host: starting it, waiting for it, ending it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from handshake_lab.errors import UsageError, WaitTimedOut
from handshake_lab.experiment.program_setup import ProgramSetup, find_program, why_not_started
from handshake_lab.linux import process_activity
from handshake_lab.recording.observations import Program

if TYPE_CHECKING:
    import subprocess

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.plan.program import ProgramSpec

#: Seconds of the kernel's time that a program may take to end after SIGTERM.
PROGRAM_ENDS = 10.0
#: The number of lines of a program's output in an error.
_LINES = 15


class RunningProgram:
    """A program that was started: its status and its output.

    Attributes:
        ended: Set when it has ended.
    """

    def __init__(self, recording: LiveRecording, spec: ProgramSpec, setup: ProgramSetup) -> None:
        self.spec = spec
        self._recording = recording
        self.ended = threading.Event()
        self._output = recording.results / f"{spec.name}.out"
        self._errors = recording.results / f"{spec.name}.err"
        self._doing = ""  #: when its time was up
        self._report("starts", "")
        self._setup = setup
        self._lock = threading.Lock()
        self._restarting: threading.Event | None = None
        self._not_restarted: Exception | None = None
        self._over = False
        find_program(shlex.split(spec.command))
        try:
            self._process = self._launched("wb")
        except OSError as error:
            raise self._refusal(error) from None
        self._thread = threading.Thread(target=self._wait, name=spec.name, daemon=True)
        self._thread.start()

    def _launched(self, mode: Literal["wb", "ab"]) -> subprocess.Popen[bytes]:
        """A new process of the program; its output is written to new files, or appended."""
        options = self._setup.options()
        with (
            self._output.open(mode, buffering=0) as stdout,
            self._errors.open(mode, buffering=0) as stderr,
            self._setup.input_file() if self._setup.stdin else Path(os.devnull).open("rb") as stdin,
        ):
            process = self._recording.network[self.spec.node].popen(
                shlex.split(self.spec.command),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                **options,
            )
        self._recording.programs[process.pid] = (self.spec.node, self.spec.command)
        return process

    def _refusal(self, error: OSError) -> UsageError:
        """The error that its command cannot be started."""
        reason = why_not_started(shlex.split(self.spec.command), error)
        return UsageError(f"--{self.spec.role}", self.spec.command, reason, '--client "curl -s http://h2/"')

    def __repr__(self) -> str:
        return f"<program {self.spec.command!r} of {self.spec.node}: {self.described()}>"

    @property
    def status(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it is running."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """The number of its process, which is also that of its session."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to its process; ignored if it has ended.

        Args:
            number: For example ``signal.SIGHUP``.
        """
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); `wait` waits until it has."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and the processes of its session at once (SIGKILL), as a crash does."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):  # it may end at this moment
                os.killpg(self.pid, signal.SIGKILL)

    def restart(self) -> None:
        """End it and the processes of its session at once (SIGKILL), and start it again; its output is appended.

        It does not wait until the program is ready again. A program that has ended stays ended.

        Raises:
            UsageError: It cannot be started again: its file or directory does not exist any more.
        """
        with self._lock:
            if self._over:
                return
            started = self._restarting = self._restarting or threading.Event()
        self.kill()
        started.wait()
        if isinstance(self._not_restarted, OSError):
            raise self._refusal(self._not_restarted) from None
        if self._not_restarted is not None:
            raise self._not_restarted

    def stop(self) -> None:
        """Stop it and its session (SIGSTOP): the kernel still answers segments to its sockets."""
        with contextlib.suppress(ProcessLookupError):  # it may end at this moment
            os.killpg(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Have it continue after `stop` (SIGCONT)."""
        with contextlib.suppress(ProcessLookupError):  # it may end at this moment
            os.killpg(self.pid, signal.SIGCONT)

    @property
    def failed(self) -> bool:
        """Whether it has ended with another exit status than 0."""
        return self.ended.is_set() and self.status != 0

    @property
    def output(self) -> str:
        """Its output up to now."""
        return self._output.read_text("utf-8", "replace")

    @property
    def errors(self) -> str:
        """Its standard error up to now."""
        return self._errors.read_text("utf-8", "replace")

    def wait(self, limit: float = 60.0) -> int:
        """Wait until it ends.

        Args:
            limit: The maximum wait, in seconds of the kernel's time.

        Returns:
            Its exit status, or the negative number of the signal that ended it.

        Raises:
            WaitTimedOut: It is still running; the error contains the last lines of its output.
        """
        if not self.ended.wait(limit):
            what = f"{self.spec.node}: the end of {self.spec.command!r}, which {self.described()}"
            raise WaitTimedOut(what, limit, self.last_lines())
        return self._process.wait()

    def described(self) -> str:
        """In words: ``computes``, ``waits in accept4()``, ``exited with status 1``, ``was ended by SIGTERM``."""
        doing = process_activity.described(self.pid)
        status = self.status
        if status is None:
            return doing or "ends"
        return f"exited with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"

    def last_lines(self) -> list[str]:
        """The last lines of its output and of its standard error."""
        return [line for text in (self.output, self.errors) for line in text.splitlines()[-_LINES:]]

    def _wait(self) -> None:
        restarting: threading.Event | None = None
        try:
            while True:
                status = self._process.wait()
                self._report("ends", str(status) if status >= 0 else signal.Signals(-status).name)
                with self._lock:  # another restart() waits, and then ends the new process
                    restarting, self._restarting = self._restarting, None
                    if restarting is None:
                        break
                    began = self._recording.clock.now()
                    self._process = self._launched("ab")
                self._report("starts", "", began)
                restarting.set()
        except Exception as error:  # noqa: BLE001  restart() raises it
            self._not_restarted = error
        finally:
            with self._lock:
                self._over = True
                waiting = (restarting, self._restarting)
            self.ended.set()
            for each in waiting:
                if each is not None:
                    each.set()

    def _report(self, phase: Literal["starts", "ends"], status: str, t: int | None = None) -> None:
        spec = self.spec
        now = self._recording.clock.now() if t is None else t
        self._recording.report(Program(now, spec.node, spec.name, spec.command, phase, status, self._doing))

    def time_is_up(self) -> None:
        """End it, and record what it was doing; a Python that does not handle SIGTERM shows its stack."""
        if self.ended.is_set():
            return
        self._doing = process_activity.described(self.pid)
        if process_activity.shows_stack_when_aborted(self.pid):
            self.signal(signal.SIGABRT)
            self.ended.wait(PROGRAM_ENDS)
        self.close()

    def close(self) -> None:
        """Send SIGTERM to the program's session, and SIGKILL if it does not end."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.ended.is_set():
                with contextlib.suppress(ProcessLookupError):  # it may end at this moment
                    os.killpg(self._process.pid, how)
                    os.killpg(self._process.pid, signal.SIGCONT)  # one that was stopped would not end
                self.ended.wait(PROGRAM_ENDS)
        self._thread.join()


def start(recording: LiveRecording, spec: ProgramSpec, setup: ProgramSetup | None = None) -> RunningProgram:
    """Start a program; it is ended at the end of the record, if it is still running.

    Raises:
        UsageError: There is no such program.
    """
    started = RunningProgram(recording, spec, setup or ProgramSetup())
    recording.own(started)
    if spec.role == "server":
        recording.servers.add(started)
    return started
