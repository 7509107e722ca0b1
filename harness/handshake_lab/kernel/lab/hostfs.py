"""Mounting directories of the host in a lab kernel."""

from __future__ import annotations

import os
from pathlib import Path

from handshake_lab.kernel.shared.guest_setup import is_private, mount, unmount

_MS_RDONLY = 1


def mount_host(directory: str, *, writable: bool, at: str = "") -> None:
    """Mount a directory of the host at the same path, or at another one."""
    Path(at or directory).mkdir(parents=True, exist_ok=True)
    mount("none", at or directory, "hostfs", directory, 0 if writable else _MS_RDONLY)


def unmount_host(directory: str) -> None:
    """Undo `mount_host` completely."""
    unmount(directory)
    if is_private(directory):
        os.removedirs(directory)
