"""Connects to a server, and then does what its last argument says: Python, with a few names for calls on the socket.

``calls.py h2 80 "shutdown(); disconnect()"``
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

host, port, doings = sys.argv[1:4]
sock = socket.socket()
sock.connect((host, int(port)))


def shutdown() -> None:
    """Send a FIN and keep the socket."""
    sock.shutdown(socket.SHUT_WR)


def disconnect() -> None:
    """connect(AF_UNSPEC)."""
    ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)


def reconnect() -> None:
    """connect() once more."""
    sock.connect((host, int(port)))


def abort() -> None:
    """close() with SO_LINGER 0."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def in_thread(do: Callable[[], None]) -> None:
    """In another thread of this process."""
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def in_child(do: Callable[[], None]) -> None:
    """In a forked child; this process has closed its own descriptor by then."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        do()
        os._exit(0)
    os.close(sock.detach())
    os.write(go, b".")
    os.waitpid(child, 0)


def passed_on(do: Callable[[], None]) -> None:
    """In a process that was forked before, and gets the descriptor over a Unix socket."""
    global sock  # noqa: PLW0603  the functions above use it
    here, there = socket.socketpair()
    other = os.fork()
    if other == 0:
        os.close(sock.detach())
        _, descriptors, _, _ = socket.recv_fds(there, 1, 1)
        sock = socket.socket(fileno=descriptors[0])
        do()
        os._exit(0)
    socket.send_fds(here, [b"."], [sock.fileno()])
    os.close(sock.detach())
    os.waitpid(other, 0)


def wait(seconds: float = 0.3) -> None:
    """Do nothing for a while."""
    time.sleep(seconds)


exec(doings)  # noqa: S102  the caller's own
