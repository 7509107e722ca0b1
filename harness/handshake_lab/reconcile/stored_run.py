"""A stored run: its observations, and the record derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read as read_events

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation


@dataclass(frozen=True, slots=True)
class Run:
    """A run: just recorded, or read from its files.

    Attributes:
        observations: The observers' reports: the lines of ``events.jsonl``.
        record: Endpoints with their states and causes, and segments, derived from the observations.
        directory: The directory with the run's files; None if they were not kept.
        interrupted: Whether Ctrl-C ended it: the record covers the time until then.
        cut: What is missing at the end of its events file, and why; "" if nothing is.
    """

    observations: tuple[Observation, ...]
    record: Record
    directory: Path | None
    interrupted: bool = False
    cut: str = ""


def read(directory: str | Path) -> Run:
    """Read a stored run.

    Args:
        directory: The run's directory, or its ``events.jsonl``.

    Raises:
        RecordUnreadable: There is no run, or it is damaged or of a newer format.
    """
    path = Path(directory)
    stored = read_events(path)
    return Run(
        stored.observations,
        reconcile(stored.observations),
        path if path.is_dir() else path.parent,
        cut=stored.cut,
    )
