"""Reading and writing the kernel's own files (/proc, tracefs) with the same few system calls in every Python.

Python's `open` asks more than it is told to, and what it asks depends on its version: whether the file is a terminal
(which fails for every other file), where in it we are, how long it is. In the lab kernel a system call that fails
takes a microsecond of virtual time (arch/um/kernel/skas/syscall.c), so that a file which is read while a run is
recorded would leave the version of Python in the record's times.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 65536


def read(file: Path) -> str:
    """The whole content of a file.

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
    """Write a file that exists, at once: the kernel takes one write as one setting.

    Raises:
        OSError: It cannot be written, or the kernel refuses the content.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)
