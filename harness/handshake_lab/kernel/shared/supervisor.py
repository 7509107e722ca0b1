"""Running a program under the supervisor: whatever happens to us, nothing of it stays.

The supervisor (``supervisor.c``) makes and removes the program's scratch directory, starts the
program, and kills all of its processes when it runs too long or when we are gone.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

import msgspec

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How many bytes of a program's console are kept, from its end.
CONSOLE_KEPT = 64 * 1024


class Ending(msgspec.Struct, frozen=True):
    """How a warded program ended.

    ``detail`` is the exit status, the signal's number, or the error; ``console`` the last part
    of what the program printed. "killed" is our own doing (Ctrl-C), "" that of somebody who
    killed the supervisor.
    """

    word: Literal["exit", "signal", "timeout", "killed", "error", ""]
    detail: str
    console: str


def new_scratch() -> Path:
    """A path for a scratch directory; the supervisor makes it."""
    # Always as long: the length of a path can be seen from inside a kernel.
    return _temporary_directory() / f"handshake-{os.urandom(6).hex()}"


def _temporary_directory() -> Path:
    """Where temporary files go: what `tempfile.gettempdir` would say, but without its trying each by writing a file.

    Killed just then, a process would leave that file behind.
    """
    if tempfile.tempdir:
        return Path(os.fsdecode(tempfile.tempdir))
    asked = [Path(os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    for directory in (*asked, Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if directory.is_dir() and os.access(directory, os.W_OK | os.X_OK):
            return directory.absolute()
    return Path.cwd()


class Supervisor:
    """A program under the supervisor. Within the ``with`` block its scratch directory exists.

    Args:
        supervisor: The compiled ``supervisor.c``.
        scratch: From `new_scratch`.
        program: The program and its arguments.
        environment: Its whole environment; None is this process's own.
        wall_limit: Seconds of real time after which it is killed.
        pinned: Keep it on one processor.

    Raises:
        EnvironmentUnsupported: The scratch directory cannot be made.
    """

    def __init__(
        self,
        supervisor: Path,
        scratch: Path,
        program: Sequence[str],
        environment: Mapping[str, str] | None,
        *,
        wall_limit: float,
        pinned: bool,
    ) -> None:
        self.scratch = scratch
        lifeline, self._lifeline = os.pipe()
        self._status, status = os.pipe()
        words = [str(supervisor), str(status), str(scratch), str(int(wall_limit)), "pinned" if pinned else "free"]
        words += [f"{name}={value}" for name, value in (environment or {}).items()]
        try:
            self._supervisor = subprocess.Popen(
                [*words, "--", *program], stdin=lifeline, stdout=subprocess.PIPE, pass_fds=(status,)
            )
        except BaseException:
            os.close(self._lifeline)
            os.close(self._status)
            raise
        finally:
            os.close(lifeline)
            os.close(status)

    def __enter__(self) -> Self:
        said = os.read(self._status, 4096).decode(errors="replace").strip()
        if said != "ready":
            self._close()
            raise EnvironmentUnsupported(
                f"the working directory of a run could not be made: {said.removeprefix('error ')}",
                "Set TMPDIR to a directory you can write to.",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        os.close(self._lifeline)
        self._supervisor.wait()
        os.close(self._status)
        if self._supervisor.stdout:
            self._supervisor.stdout.close()

    def run(self) -> Ending:
        """Start the program and wait for its end. Ctrl-C kills the program and is told as "killed"."""
        os.write(self._lifeline, b"!")
        try:
            return self._follow()
        except KeyboardInterrupt:
            # What the program has written by now is worth having.
            os.write(self._lifeline, b"!")
            return self._follow()

    def _follow(self) -> Ending:
        """Read the console until the supervisor tells the end."""
        stdout = self._supervisor.stdout
        if stdout is None:
            raise AssertionError("the supervisor was started with a pipe")
        console, said = b"", b""
        sources = select.poll()
        sources.register(stdout, select.POLLIN)
        sources.register(self._status, select.POLLIN)
        while b"\n" not in said:
            for descriptor, _ in sources.poll():
                chunk = os.read(descriptor, 65536)
                if descriptor == self._status:
                    said += chunk or b"\n"
                elif chunk:
                    console = (console + chunk)[-CONSOLE_KEPT:]
                else:
                    sources.unregister(descriptor)
        # What was printed just before the end may still be in the pipe.
        os.set_blocking(stdout.fileno(), False)
        while chunk := stdout.read(65536):
            console = (console + chunk)[-CONSOLE_KEPT:]
        word, _, detail = said.decode(errors="replace").strip().partition(" ")
        return Ending(
            cast("Literal['exit', 'signal', 'timeout', 'killed', 'error', '']", word),
            detail,
            console.decode(errors="replace").replace("\r\n", "\n"),
        )
