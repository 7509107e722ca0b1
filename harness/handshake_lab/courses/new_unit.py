"""A new unit to begin from: a small one that passes `handshake_lab.courses.proof`."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from handshake_lab.courses.unit import Unit, load_unit
from handshake_lab.errors import UsageError

#: The unit that new ones are copied from.
_TEMPLATE = Path(str(files("handshake_lab.courses") / "template"))


def new_unit(path: Path) -> Unit:
    """Make a folder with a unit of two questions, which explains itself.

    Raises:
        UsageError: The folder exists.
    """
    if path.exists():
        raise UsageError("FOLDER", str(path), "exists already", f"handshake course new {path}-2")
    shutil.copytree(_TEMPLATE, path)
    return load_unit(path)
