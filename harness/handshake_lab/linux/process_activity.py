"""What a process does at this moment: it computes, waits in a system call, or is stopped (proc_pid_stat(5))."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple

#: The system calls in which programs wait, by architecture (arch/x86/entry/syscalls/syscall_64.tbl,
#: include/uapi/asm-generic/unistd.h).
_WAITING = {
    "x86_64": {
        0: "read",
        1: "write",
        7: "poll",
        23: "select",
        34: "pause",
        35: "nanosleep",
        42: "connect",
        43: "accept",
        44: "sendto",
        45: "recvfrom",
        46: "sendmsg",
        47: "recvmsg",
        61: "wait4",
        73: "flock",
        130: "rt_sigsuspend",
        202: "futex",
        230: "clock_nanosleep",
        232: "epoll_wait",
        247: "waitid",
        270: "pselect6",
        271: "ppoll",
        281: "epoll_pwait",
        288: "accept4",
    },
    "aarch64": {
        22: "epoll_pwait",
        32: "flock",
        63: "read",
        64: "write",
        72: "pselect6",
        73: "ppoll",
        95: "waitid",
        98: "futex",
        101: "nanosleep",
        115: "clock_nanosleep",
        133: "rt_sigsuspend",
        202: "accept",
        203: "connect",
        206: "sendto",
        207: "recvfrom",
        211: "sendmsg",
        212: "recvmsg",
        242: "accept4",
        260: "wait4",
    },
}
#: Those whose first argument is a descriptor.
_OF_A_DESCRIPTOR = {"read", "write", "connect", "accept", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg"}
_FOR_A_CHILD = {"wait4", "waitid"}


class _Process(NamedTuple):
    pid: int
    name: str
    state: str
    session: int


def described(pid: int) -> str:
    """What a process does: ``waits in recvfrom() on socket:[1234]``, ``computes``, ``is stopped``; "" if it has ended.

    If it waits for a child, the processes of its session follow: ``waits in wait4(); curl waits in poll()``.

    Args:
        pid: The process, which may be the first of a session.
    """
    process = _process(pid)
    if process is None or process.state in "ZX":
        return ""
    doing, call = _activity(process)
    if call in _FOR_A_CHILD:
        others = (_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        below = [each for each in others if each and each.session == pid != each.pid and each.state not in "ZX"]
        doing = "; ".join((doing, *(f"{each.name} {_activity(each)[0]}" for each in below)))
    return doing


def shows_stack_when_aborted(pid: int) -> bool:
    """Whether a process handles SIGABRT, but not SIGTERM: a Python with faulthandler does, and shows its stack."""
    for line in _text(pid, "status").splitlines():
        if line.startswith("SigCgt:"):
            handled = int(line.split()[1], 16)
            return bool(handled >> signal.SIGABRT - 1 & 1) and not handled >> signal.SIGTERM - 1 & 1
    return False


def _process(pid: int) -> _Process | None:
    before, found, rest = _text(pid, "stat").rpartition(")")
    if not found:
        return None
    fields = rest.split()
    return _Process(pid, before.partition("(")[2], fields[0], int(fields[3]))


def _activity(process: _Process) -> tuple[str, str]:
    """In words, and the system call in which it waits, if it does."""
    if process.state == "R":
        return "computes", ""
    if process.state in "Tt":
        return "is stopped", ""
    number, *arguments = [*_text(process.pid, "syscall").split(), ""]
    if not number.isdigit():
        return "waits", ""
    call = _WAITING.get(os.uname().machine, {}).get(int(number), "")
    if not call:
        return f"waits in system call {number}", ""
    place = _descriptor(process.pid, int(arguments[0], 16)) if call in _OF_A_DESCRIPTOR else ""
    return f"waits in {call}(){f' on {place}' if place else ''}", call


def _descriptor(pid: int, number: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{number}").readlink())
    except OSError:
        return ""


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")
    except OSError:  # it has ended, or belongs to another user
        return ""
