"""Conditions of this machine under which a run must be the same: how busy it is, who starts the run, and where."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handshake_lab.errors import SystemCallFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SPIN = "while True: pass"
#: Seconds between two interruptions of a run that is stopped and continued, and for which it is stopped.
_RUNS, _STOPPED = 0.15, 0.1


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a run.

    Attributes:
        name: For example "busy processors".
        environment: Variables that the run's process finds.
        before: Called in the run's process before it starts.
        meanwhile: Makes what happens beside the run, given its process; ends with the block.
        elsewhere: Whether the run has its files at another path.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    meanwhile: Callable[[subprocess.Popen[str]], contextlib.AbstractContextManager[None]] | None = None
    elsewhere: bool = False


@contextlib.contextmanager
def _busy(_: subprocess.Popen[str]) -> Iterator[None]:
    """Twice as many processes that compute as there are processors."""
    command = [sys.executable, "-I", "-S", "-c", _SPIN]
    spinning = [subprocess.Popen(command) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _interrupted(run: subprocess.Popen[str]) -> Iterator[None]:
    """Stop all processes of the run's session and continue them, again and again."""
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.wait(_RUNS):
            found = _descendants(run.pid)
            for number in (signal.SIGSTOP, signal.SIGCONT):
                for pid in found:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                ended.wait(_STOPPED)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have: not itself, which waits for them."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _one_processor() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


#: include/uapi/linux/{prctl,seccomp,filter,personality}.h, asm/unistd_64.h.
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_PERSONALITY, _ADDR_NO_RANDOMIZE = 135, 0x40000
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001


def _refuse_personality() -> None:
    """Refuse this process and all that it starts to switch address randomisation off, as containers do."""
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),  # the number of the system call
            (_JUMP_IF_EQUAL, 0, 3, _PERSONALITY),
            (_LOAD, 0, 0, 16),  # its first argument
            (_JUMP_IF_EQUAL, 1, 0, 0xFFFFFFFF),  # asks only
            (_JUMP_IF_SET, 1, 0, _ADDR_NO_RANDOMIZE),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _EPERM),
        )
    )
    code = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header), 0, 0) != 0:
        raise SystemCallFailed(ctypes.get_errno(), "installing a seccomp filter")


#: In the order in which they are tried; the first one is what the others are compared with.
CONDITIONS = (
    Condition("plain"),
    Condition("plain again"),
    Condition("busy processors", meanwhile=_busy),
    Condition("stopped and continued", meanwhile=_interrupted),
    Condition("one processor", before=_one_processor),
    Condition("address randomisation cannot be switched off", before=_refuse_personality),
    Condition("other path", elsewhere=True),
    Condition("other user", environment={"USER": "somebody", "LOGNAME": "somebody", "HOME": "/nonexistent"}),
    Condition("other locale", environment={"LANG": "ko_KR.UTF-8", "LC_ALL": "ko_KR.UTF-8"}),
    Condition("other umask", before=lambda: os.umask(0o077)),
    Condition("other time zone", environment={"TZ": "Asia/Seoul"}),
)
#: Of these, those that a short check tries.
SHORT = ("plain", "busy processors", "stopped and continued", "other path")
