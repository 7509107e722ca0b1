"""A kernel that the user has built: ``--kernel vm:/path/to/bzImage``, with its configuration and its modules."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from handshake_lab.errors import UsageError
from handshake_lab.kernel.vm.stock_kernels import StockKernel, hz_of

#: Of a bzImage: "HdrS", and the place of the text that begins with its release (Documentation/arch/x86/boot.rst).
_MAGIC, _MAGIC_AT, _VERSION_AT, _SETUP = b"HdrS", 0x202, 0x20E, 0x200
_EXAMPLE = "--kernel vm:/boot/vmlinuz-6.12.1"


def is_path(version: str) -> bool:
    """Whether a version is the path of a kernel."""
    return "/" in version


def find(text: str) -> StockKernel:
    """The kernel at a path.

    Its configuration is searched beside it (``config-RELEASE`` or ``config``) and at the top of the source tree that it
    is in (``.config``); its modules in ``lib/modules/RELEASE`` beside it, above it, and of this machine. A kernel
    without modules has everything in itself.

    Raises:
        UsageError: It is not a kernel, or its release or its configuration are not found.
    """
    path = Path(text).expanduser().absolute()

    def refused(reason: str) -> UsageError:
        return UsageError("--kernel", f"vm:{text}", reason, _EXAMPLE)

    if not path.is_file():
        raise refused("is not a file")
    release = _release_in(path) or _release_beside(path)
    if not release:
        raise refused("does not contain its release, and no vmlinuz-RELEASE or include/config/kernel.release has it")
    places = (
        path.with_name(f"config-{release}"),
        path.with_name("config"),
        *(each / ".config" for each in path.parents),
    )
    config = next((each for each in places if each.is_file()), None)
    if config is None:
        raise refused(f"has no configuration beside it (config-{release})")
    bases = (path.parent, path.parent.parent, Path("/"))
    base = next((each for each in bases if (each / "lib/modules" / release).is_dir()), path.parent)
    return StockKernel(release, path, base, hz_of(config))


def _release_in(path: Path) -> str:
    """The release in the header of a bzImage; "" for another file."""
    with path.open("rb") as file:
        head = file.read(0x10000)
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        return ""
    (at,) = struct.unpack_from("<H", head, _VERSION_AT)
    text = head[at + _SETUP :].split(b"\0", 1)[0].decode("ascii", "replace")
    return text.split()[0] if text.strip() else ""


def _release_beside(path: Path) -> str:
    if found := re.fullmatch(r"vmlinu[xz]-(\S+)", path.name):
        return found[1]
    for parent in path.parents:
        written = parent / "include/config/kernel.release"
        if written.is_file():
            return written.read_text().strip()
    return ""
