"""A host's shell: commands share a working directory, variables and background jobs, as in Mininet's ``h1.cmd``."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, ProgramFailed, WaitTimedOut

if TYPE_CHECKING:
    from handshake_lab.network.nodes import NetworkHost

_numbers = itertools.count(1)
#: The maximum number of bytes of one read.
_CHUNK = 1 << 16


class HostShell:
    """A bash in a host, from its start to its end.

    Args:
        host: The host.

    Raises:
        EnvironmentUnsupported: There is no bash.
    """

    def __init__(self, host: NetworkHost) -> None:
        self._name = host.name
        with contextlib.ExitStack() as stack:
            commands, self._commands = os.pipe()
            stack.callback(os.close, commands)
            self._output, output = os.pipe()
            stack.callback(os.close, output)
            try:
                self._process = host.popen(
                    ["bash", "--norc", "--noprofile"],
                    stdin=commands,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except FileNotFoundError:
                os.close(self._commands)
                os.close(self._output)
                raise EnvironmentUnsupported(
                    "There is no bash, which runs the commands of cmd()", "apt-get install bash"
                ) from None
        self._rest = b""  # output of background jobs since the end of the last command
        self.closed = False

    def run(self, command: str, limit: float) -> str:
        """Run a command, wait until it ends, and return its output, including standard error.

        The result includes the output of background jobs since the previous command.

        Args:
            command: A command in the language of the shell; ``&`` starts a background job.
            limit: The maximum time, in seconds of the kernel's time.

        Raises:
            WaitTimedOut: It takes longer. The command and the shell are ended.
            ProgramFailed: The shell itself exited (``exit``, ``exec``).
        """
        end = f"\x7f{next(_numbers)}\x7f".encode()
        # Quoted, so that a syntax error in the command does not affect the marker of its end; without input, so that
        # its programs do not read the following commands.
        line = f"eval {shlex.quote(command)} </dev/null\nprintf %s {shlex.quote(end.decode())}\n"
        with contextlib.suppress(BrokenPipeError):
            os.write(self._commands, line.encode())
        output, found, self._rest = self._read(end, command, limit).partition(end)
        text = output.decode("utf-8", "replace")
        if not found:
            self.close()
            reason = f"ended the shell with exit status {self._process.returncode}"
            raise ProgramFailed(self._name, command, reason, text)
        return text

    def _read(self, end: bytes, command: str, limit: float) -> bytes:
        """The shell's output up to the marker of a command's end, or up to the end of the shell."""
        deadline = time.monotonic() + limit
        output = self._rest
        while end not in output[-_CHUNK - len(end) :]:
            ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                lines = output.decode("utf-8", "replace").splitlines()
                raise WaitTimedOut(f"{self._name}: the end of {command!r}", limit, lines[-15:])
            chunk = os.read(self._output, _CHUNK)
            if not chunk:
                break
            output += chunk
        return output

    def close(self) -> None:
        """End the shell and its background jobs."""
        if self.closed:
            return
        self.closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._output)
