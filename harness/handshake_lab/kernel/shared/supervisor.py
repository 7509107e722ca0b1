"""Running a program under the supervisor, which leaves none of its processes and files behind.

The supervisor (``supervisor.c``) creates and removes the program's scratch directory, starts the
program, and kills all of its processes when it reaches its time limit or when this process ends.
The forks of a parked lab kernel have the same supervisor, which treats each like a separate program.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

import msgspec

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How many bytes of a program's console are kept: the last ones.
CONSOLE_KEPT = 64 * 1024


class Ending(msgspec.Struct, frozen=True):
    """How a supervised program ended, or that it is parked.

    ``detail`` is the exit status, the signal's number, or the error; ``console`` the last part
    of the program's output. "killed" means that this process killed the program (Ctrl-C), ""
    that the supervisor itself was killed.
    """

    word: Literal["exit", "signal", "timeout", "killed", "error", "parked", ""]
    detail: str
    console: str


def new_scratch() -> Path:
    """A path for a scratch directory; the supervisor creates it."""
    # Of constant length, because the length of a path is visible in a kernel.
    return _temporary_directory() / f"handshake-{os.urandom(6).hex()}"


def _temporary_directory() -> Path:
    """The directory for temporary files: that of `tempfile.gettempdir`, but found without writing test files.

    A process that is killed at that moment would leave the test file behind.
    """
    if tempfile.tempdir:
        return Path(os.fsdecode(tempfile.tempdir))
    asked = [Path(os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    for directory in (*asked, Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if directory.is_dir() and os.access(directory, os.W_OK | os.X_OK):
            return directory.absolute()
    return Path.cwd()


class Supervised:
    """A program that has a supervisor. Within the ``with`` block its scratch directory exists.

    Args:
        scratch: The program's scratch directory, from `new_scratch`.
        lifeline: The pipe for the bytes that start and kill the program.
        status: The pipe from which the supervisor's reports are read.
        console: The pipe from which the program's output is read.
    """

    number = 0  #: of a fork: its number in the order of requests, from 1

    def __init__(self, scratch: Path, lifeline: int, status: int, console: int) -> None:
        self.scratch = scratch
        self._lifeline = lifeline
        self._status = status
        self._console = console

    def __enter__(self) -> Self:
        reported = os.read(self._status, 4096).decode(errors="replace").strip()
        if reported != "ready":
            self.close()
            raise EnvironmentUnsupported(
                f"the working directory of a run could not be created: {reported.removeprefix('error ')}",
                "Set TMPDIR to a directory you can write to.",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes that are left, and remove the scratch directory."""
        os.close(self._lifeline)
        # The pipe is closed when the supervisor has finished, or was killed.
        while os.read(self._status, 4096):
            pass
        os.close(self._status)
        os.close(self._console)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self) -> Ending:
        """Start the program and wait until it ends or is parked. Ctrl-C kills it: the ending is then "killed"."""
        os.write(self._lifeline, b"!")
        try:
            return self._follow()
        except KeyboardInterrupt:
            # The output up to now is kept.
            os.write(self._lifeline, b"!")
            return self._follow()

    def has_ended(self) -> bool:
        """Whether a program that was parked has ended, or its supervisor was killed."""
        return bool(select.select([self._status], [], [], 0)[0])

    def _follow(self) -> Ending:
        """Read the console until the supervisor reports that the program has ended or is parked."""
        console, reported = b"", b""
        sources = select.poll()
        sources.register(self._console, select.POLLIN)
        sources.register(self._status, select.POLLIN)
        while b"\n" not in reported:
            for descriptor, _ in sources.poll():
                chunk = os.read(descriptor, 65536)
                if descriptor == self._status:
                    reported += chunk or b"\n"
                elif chunk:
                    console = (console + chunk)[-CONSOLE_KEPT:]
                else:
                    sources.unregister(descriptor)
        # The last output may still be in the pipe.
        os.set_blocking(self._console, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._console, 65536):
                console = (console + chunk)[-CONSOLE_KEPT:]
        word, _, detail = reported.decode(errors="replace").strip().partition(" ")
        return Ending(
            cast("Literal['exit', 'signal', 'timeout', 'killed', 'error', 'parked', '']", word),
            detail,
            console.decode(errors="replace").replace("\r\n", "\n"),
        )


class Supervisor(Supervised):
    """A program together with its supervisor process, which is started for it.

    Args:
        supervisor: The compiled ``supervisor.c``.
        scratch: From `new_scratch`.
        program: The program and its arguments.
        environment: Its complete environment; None: that of this process.
        wall_limit: Seconds of real time after which it is killed.
        pinned: Keep it on one processor.
        forks: Whether the program is a lab kernel that will be parked and forked.

    Raises:
        EnvironmentUnsupported: The scratch directory cannot be created.
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
        forks: bool = False,
    ) -> None:
        requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) if forks else (None, None)
        with _Pipes() as pipes:
            words = [str(supervisor), str(pipes.status), str(scratch), str(int(wall_limit))]
            words += ["pinned" if pinned else "free", str(theirs.fileno()) if theirs else "-"]
            words += [f"{name}={value}" for name, value in (environment or {}).items()]
            try:
                self._process = subprocess.Popen(
                    [*words, "--", *program],
                    stdin=pipes.lifeline,
                    stdout=pipes.console,
                    pass_fds=(pipes.status, theirs.fileno()) if theirs else (pipes.status,),
                )
            finally:
                if theirs:
                    theirs.close()
            super().__init__(scratch, *pipes.keep())
        self._requests = requests
        self._forks = 0

    def fork(self, scratch: Path, *, wall_limit: float, parent: Supervised | None = None, text: str = "") -> Supervised:
        """Fork the parked program; `Supervised.run` starts the fork.

        Args:
            scratch: The fork's scratch directory, from `new_scratch`; the fork reads this path when it continues.
            wall_limit: Seconds of real time after which the fork is killed.
            parent: Fork this parked fork instead of the program itself.
            text: A text that the fork reads on the line after the path.

        Raises:
            OSError: The supervisor was killed.
        """
        if self._requests is None:
            raise AssertionError("this program was started without forks")
        with _Pipes() as pipes:
            request = f"{(parent or self).number} {int(wall_limit)} {scratch}" + (f"\n{text}" if text else "")
            socket.send_fds(self._requests, [request.encode()], [pipes.lifeline, pipes.status, pipes.console])
            self._forks += 1
            made = Supervised(scratch, *pipes.keep())
            made.number = self._forks
            return made

    def close(self) -> None:
        """End all processes that are left, including forks, and remove the scratch directory."""
        super().close()
        if self._requests:
            self._requests.close()
        self._process.wait()


class _Pipes:
    """The three pipes of a supervised program: the ends for the supervisor, and those for this process."""

    def __enter__(self) -> Self:
        self.lifeline, ours = os.pipe()
        status_here, self.status = os.pipe()
        console_here, self.console = os.pipe()
        self._here: tuple[int, ...] = (ours, status_here, console_here)
        return self

    def keep(self) -> tuple[int, ...]:
        """The ends of this process, which stay open after the block: lifeline, status, console."""
        kept, self._here = self._here, ()
        return kept

    def __exit__(self, *_: object) -> None:
        for descriptor in (self.lifeline, self.status, self.console, *self._here):
            os.close(descriptor)
