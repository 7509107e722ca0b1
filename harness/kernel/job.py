"""What a kernel is given to do: one Python function, called in its world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


#: The exit status of a job that Ctrl-C ended: that of a shell for SIGINT.
INTERRUPTED = 130


class Job(msgspec.Struct, frozen=True):
    """A function to call where the kernel is, as root of its own world.

    It is called with two arguments: ``argument``, and the path of a directory for its
    results. Its return value is the exit status (None counts as 0). What it prints goes
    to the console, which is shown only where something failed.
    """

    call: str  #: "package.module:function"
    argument: Any = None  #: of JSON's types
    results: Path | None = None  #: a directory that exists; None: one that vanishes with the `Outcome`
    readable: tuple[Path, ...] = ()  #: host directories it must see even below /tmp or /run
    environment: dict[str, str] = {}


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended: its exit status, its results, and the console's last lines."""

    status: int
    results: Path
    console: str
