"""The ports to which the UDP sockets of a network namespace are bound."""

from __future__ import annotations

from pathlib import Path

# The calling thread's file: /proc/net is that of the process's main thread.
_FILES = (Path("/proc/thread-self/net/udp"), Path("/proc/thread-self/net/udp6"))


def bound_udp_ports() -> dict[int, int]:
    """The local port of each UDP socket of the calling thread's network namespace, by the socket's inode.

    Source: udp4_format_sock(), net/ipv4/udp.c. A namespace without IPv6 has no file for it.
    """
    found = {}
    for file in _FILES:
        if file.exists():
            for line in file.read_text().splitlines()[1:]:
                words = line.split()
                found[int(words[9])] = int(words[1].rpartition(":")[2], 16)
    return found
