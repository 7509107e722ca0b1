"""Sets kernel settings of the calling thread's network namespace."""

from __future__ import annotations

import os
from pathlib import Path

from handshake_lab.errors import EnvironmentUnsupported, SettingMissing


def set_sysctl(name: str, value: int, *, optional: bool = False) -> None:
    """Set a sysctl of the calling thread's namespace, by its path below /proc/sys.

    Args:
        name: For example ``net/ipv4/ip_forward``.
        value: The new value.
        optional: Ignore the call if the kernel does not have this sysctl.

    Raises:
        OSError: It cannot be set.
    """
    try:
        descriptor = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if optional:
            return
        raise
    try:
        os.write(descriptor, b"%d" % value)
    finally:
        os.close(descriptor)


def set_and_verify(node: str, path: str, value: str) -> None:
    """Set a sysctl of the calling thread's namespace, and read it back.

    Args:
        node: Whose namespace it is, for errors.
        path: Its path below /proc/sys.
        value: The new value.

    Raises:
        SettingMissing: This kernel does not have the setting.
        EnvironmentUnsupported: It rejects the value.
    """
    file = Path("/proc/sys", path)
    if not file.exists():
        raise SettingMissing(path.replace("/", "."), node)
    try:
        file.write_text(value)
        now = file.read_text().split()
    except OSError as error:
        raise EnvironmentUnsupported(
            f"{node}: {path.replace('/', '.')} cannot be set to {value} ({error.strerror})",
            "The command 'sysctl -a' lists the settings that this kernel has in a network namespace.",
        ) from error
    if now != value.split():
        raise EnvironmentUnsupported(
            f"{node}: {path} was set to {value} but is {' '.join(now)}", "Choose another value."
        )
