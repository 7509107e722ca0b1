"""What a script leaves in its working directory, brought home from a lab kernel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.writable_root import WritableRoot


def bring_home(root: WritableRoot, directory: str, into: Path) -> None:
    """Copy the files that were written below a directory.

    Args:
        root: The root in which they were written.
        directory: The working directory.
        into: Where the copies go; made if there are any.
    """
    for file in root.files_below(directory):
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(directory, file), target)
