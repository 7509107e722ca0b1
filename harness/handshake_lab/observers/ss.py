"""``ss`` as an independent observer at checkpoints.

It requests the same information as `handshake_lab.observers.polling`, but with another program's request
and decoding (iproute2, misc/ss.c): if both agree, both decode correctly.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.recording.observations import Address, SocketSeen, SocketTimer
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONS = ("-H", "-t", "-a", "-n", "-o", "-e")

#: The names of the states in ss (misc/ss.c, sstate_name).
_STATES = {
    "ESTAB": State.ESTABLISHED,
    "SYN-SENT": State.SYN_SENT,
    "SYN-RECV": State.SYN_RECEIVED,
    "FIN-WAIT-1": State.FIN_WAIT_1,
    "FIN-WAIT-2": State.FIN_WAIT_2,
    "TIME-WAIT": State.TIME_WAIT,
    "CLOSE-WAIT": State.CLOSE_WAIT,
    "LAST-ACK": State.LAST_ACK,
    "LISTEN": State.LISTEN,
    "CLOSING": State.CLOSING,
}

_TIMERS: dict[str, SocketTimer] = {
    "on": "on",
    "keepalive": "keepalive",
    "timewait": "timewait",
    "persist": "persist",
    "delack": "delack",
}

_LINE = re.compile(r"(?P<state>\S+)\s+(?P<rqueue>\d+)\s+(?P<wqueue>\d+)\s+(?P<local>\S+)\s+(?P<remote>\S+)(?P<rest>.*)")
_TIMER = re.compile(r"timer:\((?P<kind>\w+),(?P<left>[^,]*),(?P<retrans>\d+)\)")
_COOKIE = re.compile(r"\bsk:(?P<cookie>[0-9a-f]+)")
_INODE = re.compile(r"\bino:(?P<inode>\d+)")
_SPAN = re.compile(r"(?P<number>[\d.]+)(?P<unit>min|sec|ms)")
_NANOSECONDS = {"min": 60_000_000_000, "sec": 1_000_000_000, "ms": 1_000_000}
# print_ms_timer() in misc/ss.c writes 6424 ms so, until iproute2 names the unit of the whole: "6.424sec".
_SECONDS_AS_MILLISECONDS = re.compile(r"(\d+\.\d+)ms")


def poll(t: int, node: str) -> Iterator[SocketSeen]:
    """Run ss in the calling thread's network namespace.

    Args:
        t: The time of the poll, on the run's clock.
        node: The node whose namespace it is.

    Raises:
        OSError: ss is not installed.
        subprocess.CalledProcessError: It failed.
    """
    # By its path and with descriptors left alone, it is started by posix_spawn(): a fork() of a process of this size
    # takes as long as the rest of a poll, because each of its pages is mapped again when it is used next.
    command = (_program(), *_OPTIONS)
    output = subprocess.run(command, capture_output=True, text=True, check=True, close_fds=False).stdout
    return parse(output, t, node)


@functools.cache
def _program() -> str:
    """The path of ss; its name where it is not found."""
    return shutil.which("ss") or "ss"


def parse(output: str, t: int, node: str) -> Iterator[SocketSeen]:
    """Parse the output of ``ss -H -t -a -n -o -e`` into observations; lines of closed sockets are omitted.

    Raises:
        EnvironmentUnsupported: A line does not have the format of ss.
    """
    for line in output.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None:
            if not line.strip():
                continue
            raise EnvironmentUnsupported(
                f"ss printed a line in an unknown format: {line!r}", "Install iproute2 5.0 or newer."
            )
        state = _STATES.get(found["state"])
        if state is None:
            continue
        rest = found["rest"]
        timer, cookie, inode = _TIMER.search(rest), _COOKIE.search(rest), _INODE.search(rest)
        yield SocketSeen(
            t=t,
            since=t,
            node=node,
            cookie=int(cookie["cookie"], 16) if cookie else 0,
            state=state,
            local=_address(found["local"]),
            remote=_address(found["remote"]),
            observer="ss",
            timer=_TIMERS.get(timer["kind"], "") if timer else "",
            expires=_span(timer["left"]) if timer else 0,
            retrans=int(timer["retrans"]) if timer else 0,
            inode=int(inode["inode"]) if inode else 0,
            rqueue=int(found["rqueue"]),
            wqueue=int(found["wqueue"]),
        )


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    ip = host.partition("%")[0].strip("[]").removeprefix("::ffff:")
    return Address("0.0.0.0" if ip == "*" else ip, 0 if port == "*" else int(port))  # noqa: S104  the meaning of * in ss


def _span(text: str) -> int:
    """Convert ``1min13sec``, ``200ms`` or ``6.424sec`` to nanoseconds; ss rounds them."""
    spans = _SPAN.finditer(_SECONDS_AS_MILLISECONDS.sub(r"\1sec", text))
    return sum(round(float(part["number"]) * _NANOSECONDS[part["unit"]]) for part in spans)
