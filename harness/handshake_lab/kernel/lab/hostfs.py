"""Directories of this machine, shown inside a lab kernel."""

from __future__ import annotations

import os
from pathlib import Path

from handshake_lab.kernel.shared.guest_setup import is_private, mount, unmount

_MS_RDONLY = 1


def mount_host(directory: str, *, writable: bool, at: str = "") -> None:
    """Show a directory of the host at its own path, or at another."""
    Path(at or directory).mkdir(parents=True, exist_ok=True)
    mount("none", at or directory, "hostfs", directory, 0 if writable else _MS_RDONLY)


def unmount_host(directory: str) -> None:
    """Undo `mount_host`, without a trace."""
    unmount(directory)
    if is_private(directory):
        os.removedirs(directory)
