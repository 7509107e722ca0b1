"""Switches offloads off, so that a capture shows the segments that are on the link.

With segmentation offload a capture shows segments of up to 64 kB that were never on a link;
with checksum offload it shows incorrect checksums.

Source: include/uapi/linux/ethtool.h; ioctl SIOCETHTOOL.
"""

from __future__ import annotations

import array
import fcntl
import struct
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    import socket

_SIOCETHTOOL = 0x8946
# Each feature's commands to get and to set it. Checksums come first: the others depend on them.
_FEATURES = {
    "tx-checksumming": (0x16, 0x17),
    "tcp-segmentation-offload": (0x1E, 0x1F),
    "generic-segmentation-offload": (0x23, 0x24),
    "generic-receive-offload": (0x2B, 0x2C),
}


def offloads_off(sock: socket.socket, interface: str) -> None:
    """Switch an interface's offloads off, and verify that they are off.

    Args:
        sock: Any socket in the interface's namespace.
        interface: The interface's name.

    Raises:
        EnvironmentUnsupported: An offload stays on.
    """
    for feature, (read, write) in _FEATURES.items():
        if not _call(sock, interface, read):
            continue
        _call(sock, interface, write)
        if _call(sock, interface, read):
            raise EnvironmentUnsupported(
                f"{interface}: {feature} cannot be switched off",
                "Captures would show segments that were never on the link.",
            )


def _call(sock: socket.socket, interface: str, command: int) -> int:
    # struct ethtool_value: the command, then the value (0: off).
    value = array.array("I", [command, 0])
    address, _ = value.buffer_info()
    fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sQ16x", interface.encode(), address))
    return value[1]
