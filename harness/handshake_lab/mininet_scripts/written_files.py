"""Copying the files that a script wrote to its working directory from a lab kernel to the host."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.writable_root import WritableRoot


def copy_written(root: WritableRoot, directory: str, into: Path) -> None:
    """Copy the files that were written below a directory.

    Args:
        root: The root in which they were written.
        directory: The working directory.
        into: The directory for the copies; created if there are any.
    """
    for file in root.files_below(directory):
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(directory, file), target)
