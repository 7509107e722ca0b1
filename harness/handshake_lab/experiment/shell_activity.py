"""What a command of the shell has started, and what may still go on after the command: a program, or Python code.

Output is kept in memory, not in files: a run that continues in several forks has one file, but a memory for each.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import threading
import traceback
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError
from handshake_lab.experiment.program_setup import find_program, why_not_started
from handshake_lab.recording.observations import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.plan.shell_command import ShellCommand

#: Characters that have a meaning for a shell: a command with one of them is run by bash.
_OF_A_SHELL = frozenset("|&;<>()$`*?[]{}~!#=\\\n")
_CHUNK = 1 << 16


class Activity:
    """Something that runs in a thread.

    Args:
        name: Its command.
        foreground: Whether the shell waits for it.
        changed: Notified when it has ended.

    Attributes:
        output: What it has printed so far.
        ended: Whether it has ended.
    """

    def __init__(self, name: str, changed: threading.Condition, *, foreground: bool) -> None:
        self.name = name
        self.foreground = foreground
        self.output = ""
        self.ended = False
        self._changed = changed

    def _begin(self, work: Callable[[], None]) -> None:
        threading.Thread(target=self._run, args=(work,), name=self.name, daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def close(self) -> None:
        """End it, if that is possible."""


class PythonActivity(Activity):
    """Python code: a statement, or an expression whose value is printed.

    Args:
        code: The code.
        namespace: Its names.
        changed: Notified when it has ended.
    """

    def __init__(self, code: str, namespace: dict[str, Any], changed: threading.Condition) -> None:
        super().__init__(f"py {code}", changed, foreground=True)
        self._code = code
        self._namespace = namespace
        self._begin(self._execute)

    def _execute(self) -> None:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(self._code + "\n", "<py>", "single"), self._namespace)  # noqa: S102  the user's own code
        except Exception as error:  # noqa: BLE001  shown to the user, as Python does
            printed.write("".join(traceback.format_exception_only(error)))
        self.output = printed.getvalue()


class ProgramActivity(Activity):
    """A program in a host; its start and its end are recorded.

    Args:
        recording: The run.
        command: The command.
        changed: Notified when it has ended.

    Raises:
        UsageError: There is no such program.
    """

    def __init__(self, recording: LiveRecording, command: ShellCommand, changed: threading.Condition) -> None:
        text = command.text
        super().__init__(f"{command.host} {text}", changed, foreground=not command.background)
        try:
            words = ["bash", "-c", text] if _OF_A_SHELL.intersection(text) else shlex.split(text)
        except ValueError as error:
            raise UsageError(
                command.host, text, f"has unbalanced quotes ({error})", f"{command.host} ss -tan"
            ) from None
        find_program(words)
        self._recording = recording
        self._host = command.host
        self._text = text
        self._label = f"{command.host}-client-{next(recording.numbers)}"
        try:
            self._process = recording.network[command.host].popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(command.host, text, why_not_started(words, error), f"{command.host} ss -tan") from None
        recording.programs[self._process.pid] = (command.host, text)
        self._report("starts", "")
        self._begin(self._follow)

    def _report(self, phase: Any, status: str) -> None:
        recording = self._recording
        recording.report(Program(recording.clock.now(), self._host, self._label, self._text, phase, status))

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        with self._process.stdout as pipe:
            printed = b""
            while chunk := os.read(pipe.fileno(), _CHUNK):
                printed += chunk
                self.output = printed.decode("utf-8", "replace")
        status = self._process.wait()
        name = str(status) if status >= 0 else signal.Signals(-status).name
        self._report("ends", name)
        if status:
            separate = "" if self.output.endswith("\n") or not self.output else "\n"
            how = f"exit status {name}" if status > 0 else name
            self.output += f"{separate}({self.name}: {how})\n"

    def close(self) -> None:
        """End it and the processes of its session."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
