"""Mounting directories of the host in a lab kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from handshake_lab.kernel.shared.guest_setup import PRIVATE, is_private, mount, unmount

_MS_RDONLY = 1
#: Where another directory of the host is seen for a moment.
_PLACE = Path("/run/handshake-host")


def mount_host(directory: str, *, writable: bool, at: str = "") -> None:
    """Mount a directory of the host at the same path, or at another one."""
    Path(at or directory).mkdir(parents=True, exist_ok=True)
    mount("none", at or directory, "hostfs", directory, 0 if writable else _MS_RDONLY)


def unmount_host(directory: str) -> None:
    """Undo `mount_host` completely."""
    unmount(directory)
    if is_private(directory):
        os.removedirs(directory)


def show_in_private_directory(path: str) -> None:
    """Show a file of the host that lies below a directory which is private to the guest, such as /tmp; not elsewhere.

    The outermost directory that is missing here is shown, read-only, with all that is in it; a file directly in the
    private directory is copied. Nothing happens if the host does not have it either, or outside of a lab kernel.
    """
    if not is_private(path) or not _is_lab():
        return
    below = next(private for private in PRIVATE if path.startswith(private + "/"))
    missing = Path(path)
    while str(missing.parent) != below and not missing.parent.exists():
        missing = missing.parent
    # It is mounted at a separate path: mounted over the private directory, it would hide the files there.
    _PLACE.mkdir(parents=True, exist_ok=True)
    mount_host(str(missing.parent), writable=False, at=str(_PLACE))
    try:
        source = _PLACE / missing.name
        is_directory, is_file = source.is_dir(), source.is_file()
        if is_file:
            shutil.copy2(source, missing)
    except OSError:
        is_directory = False
    finally:
        unmount(str(_PLACE))
    if is_directory:
        mount_host(str(missing), writable=False)


def _is_lab() -> bool:
    return "hostfs" in Path("/proc/filesystems").read_text()
