"""The kernel's counters of a network namespace. They show causes that no other observer reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.linux import small_files

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The calling thread's file: /proc/net is that of the process's main thread.
NETSTAT = Path("/proc/thread-self/net/netstat")
_FILES = (NETSTAT, Path("/proc/thread-self/net/snmp"))
_GROUPS = ("TcpExt", "Tcp")
#: Bytes: more than both lines of TcpExt.
_ROOM = 16384


def read_counters() -> dict[str, int]:
    """All Tcp and TcpExt counters of the calling thread's network namespace (net/ipv4/proc.c)."""
    values: dict[str, int] = {}
    for file in _FILES:
        lines = iter(small_files.read(file).splitlines())
        for names, numbers in zip(lines, lines, strict=True):
            group, _, rest = names.partition(":")
            if group in _GROUPS:
                values.update(zip(rest.split(), map(int, numbers.partition(":")[2].split()), strict=True))
    return values


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """The counters that have increased, and by how much."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value > before.get(name, 0)}


class TcpExtReader:
    """Reads some of the TcpExt counters again and again, from a descriptor of `NETSTAT`.

    The file shows the network namespace in which it was opened, independent of the thread that reads it.

    Args:
        descriptor: The open file.
        names: The counters; those that this kernel does not have are 0.
    """

    def __init__(self, descriptor: int, names: Sequence[str]) -> None:
        self._descriptor = descriptor
        known = self._line(0).split()
        self._places = [known.index(name) if name in known else None for name in names]

    def values(self) -> tuple[int, ...]:
        """Their values, in the order of the names."""
        fields = self._line(1).split()
        return tuple(0 if place is None else int(fields[place]) for place in self._places)

    def _line(self, number: int) -> str:
        """The line with the names or the one with the values: TcpExt's are the first two."""
        return os.pread(self._descriptor, _ROOM, 0).split(b"\n", 2)[number].decode()
