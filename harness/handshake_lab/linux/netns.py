"""Network namespaces: create, enter, name and leave them, for the calling thread only.

A namespace exists as long as a descriptor, a process or a mount refers to it. The namespaces
created here are kept by descriptors, so that they disappear when the process exits, even if it is
killed. Names under /run/netns are created only if /run is private. pyroute2 creates a namespace in a
process that it forks, and always names it: therefore `create` is not pyroute2's.

Source: setns(2), unshare(2), network_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2 import netns as named

from handshake_lab.errors import SystemCallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

# pyroute2 would start programs to find it.
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise SystemCallFailed(ctypes.get_errno(), what)


def here() -> int:
    """A descriptor of the calling thread's network namespace; the caller closes it."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def setns(descriptor: int) -> None:
    """Move only the calling thread into a network namespace.

    Raises:
        OSError: It is not permitted, or the descriptor is not a network namespace.
    """
    try:
        named.setns(descriptor, libc=_libc)
    except OSError as error:
        raise SystemCallFailed(error.errno or 0, "entering a network namespace") from error


def create() -> int:
    """Create a namespace, move the calling thread into it, and return a descriptor of it.

    Raises:
        OSError: It is not permitted (EPERM), or the kernel's limit is reached (ENOSPC).
    """
    _check(_libc.unshare(named.CLONE_NEWNET), "creating a network namespace")
    return here()


@contextlib.contextmanager
def inside(descriptor: int) -> Iterator[None]:
    """Run the body with the calling thread in a namespace; afterwards return to the previous one."""
    before = here()
    try:
        setns(descriptor)
        try:
            yield
        finally:
            setns(before)
    finally:
        os.close(before)


def give_name(target: str) -> None:
    """Mount the calling thread's namespace at a path, as ``ip netns attach`` does.

    Raises:
        OSError: It is not permitted, or there is such a file.
    """
    named.attach(target, "thread-self", libc=_libc)


def remove_name(target: str) -> None:
    """Undo `give_name`.

    Raises:
        OSError: There is no such file.
    """
    named.remove(target, libc=_libc)


def bind(source: str, target: str) -> None:
    """Bind-mount a file over another one.

    Raises:
        OSError: It is not permitted.
    """
    _check(_libc.mount(source.encode(), target.encode(), None, named.MS_BIND, None), f"mounting {source} on {target}")


def unbind(target: str) -> None:
    """Remove such a mount.

    Raises:
        OSError: Nothing is mounted there.
    """
    _check(_libc.umount2(target.encode(), named.MNT_DETACH), f"unmounting {target}")


def mounts_are_private() -> bool:
    """Whether this process has a private mount namespace, so that it may create names in /run and /etc.

    This is the case in a lab kernel (only User-Mode Linux has hostfs) and in the private
    namespaces that `handshake_lab.kernel.host.private_namespaces` creates, which set HANDSHAKE_PRIVATE.
    """
    if os.environ.get("HANDSHAKE_PRIVATE") == "1":
        return True
    return "hostfs" in Path("/proc/filesystems").read_text("ascii", "replace")
