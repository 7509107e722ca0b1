"""Reads and writes the kernel's files (/proc, tracefs) with the same system calls in every version of Python.

Python's `open` makes additional system calls, which depend on its version: whether the file is a terminal (which fails
for every other file), its position, its length. On the lab kernel a system call that fails takes a microsecond of
virtual time (arch/um/kernel/skas/syscall.c). If a run read files with `open`, the times in its record would depend on
the version of Python.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 65536


def read(file: Path) -> str:
    """The complete content of a file.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while chunk := os.read(descriptor, _CHUNK):
            content += chunk
    finally:
        os.close(descriptor)
    return content.decode()


def write(file: Path, content: str) -> None:
    """Write an existing file with a single system call, because the kernel treats each one as one setting.

    Raises:
        OSError: It cannot be written, or the kernel refuses the content.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)
