"""The places for finished kernels and helper programs: the user's cache, an installed wheel, the system's cache.

All three have the same layout below their root, ``kernels/<release>-<key>/`` and ``helpers/<key>/``
(`handshake_lab.kernel.shared.cache`). Builds are installed in the user's cache only.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared import cache

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Shared by all users of a machine; ``handshake kernel import --system`` installs kernels there.
SYSTEM_CACHE = Path("/var/cache/handshake-lab")

#: The package that the wheel handshake-lab-kernel installs.
WHEEL_PACKAGE = "handshake_lab_kernel"


@dataclass(frozen=True, slots=True)
class Place:
    """One of the places.

    Attributes:
        name: "user", "wheel" or "system".
        root: The directory that has ``kernels`` and ``helpers``.
    """

    name: str
    root: Path


def places() -> Iterator[Place]:
    """The existing places, in order of preference.

    A system's cache to which other users than root can write is omitted, because a kernel from it would run with the
    rights of the user who starts it.
    """
    try:
        user = cache.cache_root()
    except EnvironmentUnsupported:
        pass  # a user without a home directory can use the other places
    else:
        if not _is_forbidden(user):
            yield Place("user", user)
    wheel = find_spec(WHEEL_PACKAGE)
    if wheel is not None and wheel.origin is not None:
        yield Place("wheel", Path(wheel.origin).parent)
    if is_trusted(SYSTEM_CACHE):
        yield Place("system", SYSTEM_CACHE)


def _is_forbidden(directory: Path) -> bool:
    """Whether this user may not even look for a directory: after su, HOME can be another user's."""
    try:
        directory.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(directory, os.R_OK | os.X_OK)


def is_trusted(directory: Path) -> bool:
    """Whether a directory exists, belongs to root, and cannot be written to by group or others."""
    try:
        status = directory.stat()
    except OSError:
        return False
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
