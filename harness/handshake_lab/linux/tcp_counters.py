"""The kernel's counters of a network namespace. They reveal causes that no other observer sees."""

from __future__ import annotations

from pathlib import Path

from handshake_lab.linux import small_files

# The calling thread's file: /proc/net is that of the process's main thread.
_FILES = (Path("/proc/thread-self/net/netstat"), Path("/proc/thread-self/net/snmp"))
_GROUPS = ("TcpExt", "Tcp")


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
