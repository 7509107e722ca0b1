"""Listens, and then does what its argument says: Python, with a few names for calls."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import time

host, port, doings = sys.argv[1:4]
listener = socket.socket()
listener.bind((host, int(port)))
listener.listen()


def disconnect(sock: socket.socket) -> None:
    """Call connect(AF_UNSPEC)."""
    ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)


def abort(sock: socket.socket) -> None:
    """Call close() with SO_LINGER 0."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def accepted() -> socket.socket:
    """Accept one connection."""
    return listener.accept()[0]


def wait(seconds: float = 1) -> None:
    """Do nothing for a while."""
    time.sleep(seconds)


def leave() -> None:
    """End at once; the kernel closes what is open."""
    os._exit(0)


exec(doings)  # noqa: S102  the caller's own
