"""Running a program under the supervisor: whatever happens to us, nothing of it stays.

The supervisor (``supervisor.c``) makes and removes the program's scratch directory, starts the
program, and kills all of its processes when it runs too long or when we are gone. A lab kernel that
is parked has forks, which the same supervisor looks after, each as if it had been started alone.
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

#: How many bytes of a program's console are kept, from its end.
CONSOLE_KEPT = 64 * 1024


class Ending(msgspec.Struct, frozen=True):
    """How a supervised program ended, or that it is parked now.

    ``detail`` is the exit status, the signal's number, or the error; ``console`` the last part
    of what the program printed. "killed" is our own doing (Ctrl-C), "" that of somebody who
    killed the supervisor.
    """

    word: Literal["exit", "signal", "timeout", "killed", "error", "parked", ""]
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


class Supervised:
    """A program that has a supervisor. Within the ``with`` block its scratch directory exists.

    Args:
        scratch: The program's scratch directory, from `new_scratch`.
        lifeline: Where bytes are written that start and kill the program.
        status: Where the supervisor reports.
        console: Where the program prints.
    """

    number = 0  #: of a fork: the n-th that was asked for

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
                f"the working directory of a run could not be made: {reported.removeprefix('error ')}",
                "Set TMPDIR to a directory you can write to.",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs, and remove the scratch directory."""
        os.close(self._lifeline)
        # The status ends when the supervisor is done with it, or was killed.
        while os.read(self._status, 4096):
            pass
        os.close(self._status)
        os.close(self._console)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self) -> Ending:
        """Start the program and wait for its end, or until it is parked. Ctrl-C kills it, which is reported."""
        os.write(self._lifeline, b"!")
        try:
            return self._follow()
        except KeyboardInterrupt:
            # What the program has written by now is worth having.
            os.write(self._lifeline, b"!")
            return self._follow()

    def has_ended(self) -> bool:
        """Whether a program that was parked has ended, or its supervisor was killed."""
        return bool(select.select([self._status], [], [], 0)[0])

    def _follow(self) -> Ending:
        """Read the console until the supervisor reports what became of the program."""
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
        # What was printed just before the end may still be in the pipe.
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
    """A program, and the supervisor that is started for it.

    Args:
        supervisor: The compiled ``supervisor.c``.
        scratch: From `new_scratch`.
        program: The program and its arguments.
        environment: Its whole environment; None is this process's own.
        wall_limit: Seconds of real time after which it is killed.
        pinned: Keep it on one processor.
        forks: The program is a lab kernel that is to be parked and forked.

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
        """A fork of the parked program, which its `Supervised.run` starts.

        Args:
            scratch: The fork's own, from `new_scratch`: it reads this path where it was parked.
            wall_limit: Seconds of real time after which the fork is killed.
            parent: Fork this parked fork, rather than the program itself.
            text: What the fork reads after the path, on a line of its own.

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
        """End what still runs, forks included, and remove the scratch directory."""
        super().close()
        if self._requests:
            self._requests.close()
        self._process.wait()


class _Pipes:
    """The three pipes of a supervised program: the ends that are passed on, and those that are kept here."""

    def __enter__(self) -> Self:
        self.lifeline, ours = os.pipe()
        status_here, self.status = os.pipe()
        console_here, self.console = os.pipe()
        self._here: tuple[int, ...] = (ours, status_here, console_here)
        return self

    def keep(self) -> tuple[int, ...]:
        """Our ends, which stay open after the block: lifeline, status, console."""
        kept, self._here = self._here, ()
        return kept

    def __exit__(self, *_: object) -> None:
        for descriptor in (self.lifeline, self.status, self.console, *self._here):
            os.close(descriptor)
