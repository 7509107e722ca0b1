"""Waiting until a program is ready: it listens, has printed a line, or has created a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from handshake_lab.errors import ProgramFailed, WaitTimedOut

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.experiment.running_program import RunningProgram

#: Seconds of the kernel's time that a server may take until it is ready.
SERVER_STARTS = 60.0
#: The same for a daemon, once the program that started it has exited with status 0.
DAEMON_STARTS = 1.0
#: Seconds between two checks: the kernel reports no event for a UDP port, a line of output or a file.
_POLL = 0.01


class Condition(Protocol):
    """One sign that a program is ready."""

    def holds(self, program: RunningProgram) -> bool:
        """Whether it is there."""

    @property
    def wanted(self) -> str:
        """What is waited for, after "to": ``listen on TCP port 80``."""

    @property
    def missed(self) -> str:
        """What did not happen: ``did not listen on TCP port 80``."""

    def found(self) -> str:
        """What is there instead; "" if that says nothing."""


class PrintedLine:
    """A line of the program's output, or of its standard error, that contains a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.wanted = f"print {text!r}"
        self.missed = f"did not print {text!r}"

    def holds(self, program: RunningProgram) -> bool:
        """Whether it has been printed."""
        lines = [*program.output.splitlines(), *program.errors.splitlines()]
        return any(self._text in line for line in lines)

    def found(self) -> str:
        """Nothing: an error shows the output anyway."""
        return ""


class CreatedFile:
    """A file or socket that the program creates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.wanted = f"create {path}"
        self.missed = f"did not create {path}"

    def holds(self, program: RunningProgram) -> bool:  # noqa: ARG002  any program may create it
        """Whether it exists."""
        return self._path.exists()

    def found(self) -> str:
        """What its directory contains."""
        try:
            names = sorted(each.name for each in self._path.parent.iterdir())
        except OSError as error:
            return f"{self._path.parent}: {error.strerror}"
        return f"{self._path.parent} contains {', '.join(names) or 'nothing'}"


def wait_until_ready(recording: LiveRecording, program: RunningProgram, conditions: list[Condition]) -> None:
    """Wait until all conditions hold.

    Raises:
        ProgramFailed: The program has ended without it; the error contains its output.
        WaitTimedOut: One does not hold within `SERVER_STARTS` seconds; the error contains what is there instead, and
            the program's output.
    """
    node, command = program.spec.node, program.spec.command
    now = recording.clock.now
    deadline = now() + int(SERVER_STARTS * 1e9)

    def ready() -> bool:
        return all(each.holds(program) for each in conditions)

    fresh = True
    while not recording.recorder.wait_until(lambda: ready() or program.failed, _POLL, fresh=fresh):
        fresh = False
        if program.ended.is_set():
            deadline = min(deadline, now() + int(DAEMON_STARTS * 1e9))
        if now() >= deadline:
            break
    lacking = [each for each in conditions if not each.holds(program)]
    if not lacking:
        return
    if program.ended.is_set():
        reason = f"{program.described()} and {lacking[0].missed}"
        raise ProgramFailed(node, command, reason, "\n".join(program.last_lines()))
    last = [found for each in lacking if (found := each.found())] + program.last_lines()
    raise WaitTimedOut(f"{node}: {command!r} to {lacking[0].wanted}", SERVER_STARTS, last)
