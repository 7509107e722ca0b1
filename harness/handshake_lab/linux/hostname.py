"""Host names, each in a separate UTS namespace, for the calling thread and the programs that it starts.

Source: uts_namespaces(7), sethostname(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import TYPE_CHECKING

from handshake_lab.errors import SystemCallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWUTS = 0x04000000

_libc = ctypes.CDLL(None, use_errno=True)


def _here() -> int:
    return os.open("/proc/thread-self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise SystemCallFailed(ctypes.get_errno(), what)


def create(name: str) -> int:
    """Create a namespace with a host name, and return a descriptor of it; the caller closes it.

    Raises:
        OSError: It is not permitted (EPERM), or the name is longer than 64 bytes (EINVAL).
    """
    before = _here()
    try:
        _check(_libc.unshare(_CLONE_NEWUTS), "creating a UTS namespace")
        try:
            socket.sethostname(name)
            return _here()
        finally:
            _check(_libc.setns(before, _CLONE_NEWUTS), "entering a UTS namespace")
    finally:
        os.close(before)


@contextlib.contextmanager
def inside(descriptor: int) -> Iterator[None]:
    """Run the body with the calling thread in a namespace; afterwards return to the previous one."""
    before = _here()
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWUTS), "entering a UTS namespace")
        try:
            yield
        finally:
            _check(_libc.setns(before, _CLONE_NEWUTS), "entering a UTS namespace")
    finally:
        os.close(before)
