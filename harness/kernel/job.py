"""What a kernel is given to do: one Python function, called in its world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


class Job(msgspec.Struct, frozen=True):
    """A function to call where the kernel is, as root of its own world.

    The function's return value is the exit status (None counts as 0). What it
    prints goes to the console, which is shown only where something failed; results
    leave through files in the ``writable`` directories.
    """

    call: str  #: "package.module:function"
    argument: Any = None  #: its one argument, of JSON's types
    writable: tuple[Path, ...] = ()  #: host directories that it may write to
    readable: tuple[Path, ...] = ()  #: host directories it must see even below /tmp or /run
    environment: dict[str, str] = {}


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended: its exit status, and the console's last lines."""

    status: int
    console: str
