"""A stored run: its observations, and the record that is made of them."""

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
    """A run that was carried out, or read again.

    Attributes:
        observations: What the observers saw: the lines of ``events.jsonl``.
        record: What happened: endpoints with their states and causes, and segments.
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
