"""The ports at which the UDP sockets of a network namespace receive from anybody."""

from __future__ import annotations

from pathlib import Path

# The calling thread's file: /proc/net is that of the process's main thread.
_FILES = (Path("/proc/thread-self/net/udp"), Path("/proc/thread-self/net/udp6"))


def bound_udp_ports() -> dict[int, int]:
    """The local port of each UDP socket of the calling thread's network namespace, by the socket's inode.

    A connected socket is a client's, such as that of a name lookup, and is left out. Source: udp4_format_sock(),
    net/ipv4/udp.c. A namespace without IPv6 has no file for it.
    """
    found = {}
    for file in _FILES:
        if file.exists():
            for line in file.read_text().splitlines()[1:]:
                words = line.split()
                local, remote = (int(word.rpartition(":")[2], 16) for word in words[1:3])
                if not remote:
                    found[int(words[9])] = local
    return found
