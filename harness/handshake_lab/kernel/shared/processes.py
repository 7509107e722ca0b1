"""Running the programs of a build: their errors are collected, and none of them is left running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

_CHUNK = 1 << 20
_KEPT_LINES = 20

# The messages of programs in the C locale when a disk is full (strerror of ENOSPC and EDQUOT).
_FULL = ("No space left on device", "Disk quota exceeded")

# The variables of the caller's shell that a build's programs get: where programs, libraries and temporary files are,
# apt's configuration, and proxies. The same source has to give the same kernel, and too many others change it to list
# them: LOCALVERSION, GNUMAKEFLAGS, KCFLAGS, CPATH, GCC_EXEC_PREFIX, TAR_OPTIONS, ...
_KEPT = frozenset({"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "APT_CONFIG"})


def plain_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a build's programs: messages in English, and no variable that could change the result."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower().endswith("_proxy")}
    return {**kept, "LC_ALL": "C", **(extra or {})}


def is_full(text: str) -> bool:
    """Whether a program's message reports a full disk."""
    return any(sign in text for sign in _FULL)


class Interrupted(SystemExit):
    """This process received a signal to end; raised so that temporary files and child processes are removed first."""


@contextmanager
def tidy_on_signals() -> Iterator[None]:
    """Within this block, SIGTERM and SIGHUP unwind the stack as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can install signal handlers
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Errors(threading.Thread):
    """Collects the standard error of several programs, so that none of them blocks on a full pipe."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        read_end, self.write_end = os.pipe()
        self._stream = os.fdopen(read_end, errors="replace")
        self._lines: list[str] = []
        self.full = threading.Event()

    def run(self) -> None:
        with self._stream:
            for line in self._stream:
                if is_full(line) and not self.full.is_set():
                    self._lines.insert(0, line)
                    self.full.set()
                elif len(self._lines) < _KEPT_LINES:
                    self._lines.append(line)

    def text(self) -> str:
        self.join()
        return "".join(self._lines)


class Pipeline:
    """Programs joined by pipes, with this process in the middle to count the bytes.

    Args:
        before: The commands before this process, whose output is counted.
        after: The commands after this process, which receive that output.
    """

    def __init__(self, before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]) -> None:
        self._before, self._after = before, after
        self._children: list[subprocess.Popen[bytes]] = []

    def run(self, counted: Callable[[int], None]) -> str | None:
        """Run it to its end.

        Args:
            counted: Called with the number of bytes passed on so far.

        Returns:
            None if all programs succeeded, else their messages.
        """
        errors = _Errors()
        errors.start()
        try:
            try:
                source = self._chain(self._before, None, errors.write_end)
                sink = self._start(self._after[0], subprocess.PIPE, errors.write_end)
                last = self._chain(self._after[1:], sink.stdout, errors.write_end)
            finally:
                os.close(errors.write_end)
            self._pump(source, sink.stdin, errors, counted)
            if last is not None:
                last.close()
            codes = [child.wait() for child in self._children]
        finally:
            for child in self._children:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        said = errors.text()
        return None if not any(codes) else said

    def _start(self, command: Sequence[str], stdin: IO[bytes] | int | None, stderr: int) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            list(command),
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=plain_environment(),
        )
        self._children.append(child)
        return child

    def _chain(self, commands: Sequence[Sequence[str]], stream: IO[bytes] | None, stderr: int) -> IO[bytes] | None:
        for command in commands:
            child = self._start(command, stream, stderr)
            if stream is not None:
                stream.close()  # only the child may hold it: then the program before it gets SIGPIPE if the child dies
            stream = child.stdout
        return stream

    @staticmethod
    def _pump(
        source: IO[bytes] | None, sink: IO[bytes] | None, errors: _Errors, counted: Callable[[int], None]
    ) -> None:
        if source is None or sink is None:
            raise AssertionError("both sides of the pipeline were started with pipes")
        done = 0
        with source:
            try:
                with sink:
                    while (chunk := source.read(_CHUNK)) and not errors.full.is_set():
                        sink.write(chunk)
                        done += len(chunk)
                        counted(done)
            except BrokenPipeError:
                return  # the reader has ended; its exit status shows why


@contextmanager
def group(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a new process group; all of the group has ended at the end of the block.

    Its output and errors are one stream of text. It receives SIGTERM when this process
    dies for any reason.
    """
    leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    child = subprocess.Popen(
        [*leash, *command],
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            _end_group(child)
        if child.stdout is not None:
            child.stdout.close()


def _end_group(child: subprocess.Popen[str]) -> None:
    """Send a process group SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(timeout=5)
            break
        except subprocess.TimeoutExpired:
            continue
    child.wait()
