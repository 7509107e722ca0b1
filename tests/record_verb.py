"""`handshake record` as a user runs it: for tests that record ordinary programs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from command_line import handshake
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.recording.history import Endpoint, Record

#: Exit statuses of a run that was recorded: as documented, or not.
_RECORDED = (0, 1)


class RecordedRun(NamedTuple):
    """What a run kept, and what it printed."""

    record: Record
    printed: str

    def ends(self, node: str, role: str = "") -> list[Endpoint]:
        """A host's ends of connections, without its listeners."""
        return [
            end
            for end in self.record.endpoints
            if end.node == node and end.role != "listener" and role in ("", end.role)
        ]


def record(directory: Path, *arguments: str) -> RecordedRun:
    """Run `handshake record` and read what it kept.

    Args:
        directory: Where the run is kept: a directory that exists.
        arguments: Of `handshake record`, without ``--out``.

    Raises:
        RuntimeError: Nothing was recorded. It is no AssertionError, so that no expected failure hides it.
    """
    out = directory / "run"
    done = handshake("record", "--plain", *arguments, "--out", str(out))
    if done.returncode not in _RECORDED:
        raise RuntimeError(f"handshake record ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return RecordedRun(reconcile(read(out).observations), done.stdout)


def needs(program: str) -> pytest.MarkDecorator:
    """Mark a test that records a program which this machine may lack."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"there is no {program} on this machine")
