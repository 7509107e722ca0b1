"""Making a topology's file visible in a kernel, where directories such as /tmp are private to each run."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.kernel.shared.guest_setup import PRIVATE
from handshake_lab.plan.load_topology import absolute_topology, topology_directory
from handshake_lab.plan.topology_file import split_file

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def shown_topology(text: str) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """The topology as a kernel must load it, and the directories that must be visible there.

    A file that lies directly in a private directory, such as /tmp/course.py, is copied for the block.

    Args:
        text: As for `handshake_lab.plan.load_topology.load_topology`.
    """
    found, directory = absolute_topology(text), topology_directory(text)
    if directory is None:
        yield text, ()
    elif str(directory) not in PRIVATE:
        yield found, (directory,)
    else:
        file = split_file(found)
        assert file is not None  # noqa: S101 -- it has a directory
        with tempfile.TemporaryDirectory(prefix="handshake-topology-") as copy:
            target = Path(shutil.copy(file.path, copy)).resolve()
            yield f"{target}{found.removeprefix(file.path)}", (target.parent,)
